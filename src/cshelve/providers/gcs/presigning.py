"""Links to one object, with which anyone can read it until they expire."""

from __future__ import annotations

from datetime import timedelta

from google.auth.exceptions import GoogleAuthError

from cshelve.exceptions import AuthError, ConfigurationError, UnsupportedOperationError
from cshelve.providers.gcs.errors import NoCredentialsError, translated
from cshelve.providers.gcs.requests import Requests

__all__ = ["presigned_url"]

# https://cloud.google.com/storage/docs/access-control/signed-urls
MOST_SECONDS = 7 * 24 * 60 * 60


def presigned_url(requests: Requests, name: str, expires_seconds: float) -> str:
    """Return a link to an object; sends nothing to the bucket."""
    is_number = isinstance(expires_seconds, int | float) and not isinstance(expires_seconds, bool)
    if not is_number or not 1 <= expires_seconds <= MOST_SECONDS:
        raise ConfigurationError(
            f"expires_seconds: a link is valid for 1 to {MOST_SECONDS:,} seconds (7 days), not "
            f"{expires_seconds!r:.40}."
        )
    settings = requests.settings
    try:
        bucket = requests.connection.client.bucket(settings.bucket_name)
        url: str = bucket.blob(settings.prefix + name).generate_signed_url(
            version="v4", expiration=timedelta(seconds=int(expires_seconds)), method="GET"
        )
    except NoCredentialsError as error:
        raise translated(error, requests.place("presigned_url", name)) from error
    except AttributeError as error:  # The SDK's, for credentials without a private key.
        raise UnsupportedOperationError(
            f"{requests.location}: a link has to be signed with the private key of a service "
            "account, which these credentials do not have; set [default] auth_type = "
            "service_account with credentials_file."
        ) from error
    except GoogleAuthError as error:
        # Impersonated credentials let Google sign.
        place = requests.place("presigned_url", name)
        raise AuthError(f"{place}: the link could not be signed: {error}") from error
    return url
