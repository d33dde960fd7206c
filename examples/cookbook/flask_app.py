"""A Flask application that keeps its sessions and its users' files in a bucket.

Run it as ``STORE=s3://my-bucket flask --app flask_app run``.
"""

import hashlib
import os
import secrets
from typing import Any

from flask import Flask, Request, Response, abort, redirect, request, session
from flask.sessions import SecureCookieSession, SessionInterface
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response as AnyResponse

import cshelve

STORE = os.environ.get("STORE", "s3://my-bucket")
SESSION_SECONDS = 24 * 3600
LINK_SECONDS = 60

# JSON, so that nobody who can write to the bucket can run code here.
sessions: cshelve.Shelf[dict[str, Any]] = cshelve.open(
    f"{STORE}/sessions?serializer=json&expire_after_seconds={SESSION_SECONDS}"
)
# Each object is the file and nothing else, so that browsers can get it from the bucket. They save
# it, whatever it is: otherwise, the scripts of an uploaded page would run in a visitor's browser.
files: cshelve.CloudShelf[bytes] = cshelve.open(
    f"{STORE}/files?serializer=bytes&use_versioning=false&put_params.ContentDisposition=attachment"
)


class Session(SecureCookieSession):
    """The session of one visitor: a dict that knows whether it was changed."""

    cookie: str | None = None
    version: str | None = None

    def end(self) -> None:
        """Forget everything; what is set afterwards gets a new cookie."""
        if self.cookie is not None:
            sessions.pop(key_of(self.cookie), None)
        self.clear()
        self.cookie = self.version = None


class ShelfSessions(SessionInterface):
    """Flask's sessions, in a shelf. The cookie has a random number and nothing else."""

    def open_session(self, app: Flask, request: Request) -> Session:
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        try:
            values, version = sessions.get_versioned(key_of(cookie))
        except KeyError:
            return Session()  # Unknown, expired, or logged out.
        session = Session(values)
        session.cookie, session.version = cookie, version
        return session

    def save_session(self, app: Flask, session: Any, response: AnyResponse) -> None:
        if not session.modified:
            return
        name, path = self.get_cookie_name(app), self.get_cookie_path(app)
        if not session:
            response.delete_cookie(name, path=path)
            return
        cookie = session.cookie or secrets.token_urlsafe()
        try:
            # Not `sessions[key] = …`, which would bring a session back after a logout.
            sessions.replace(key_of(cookie), dict(session), session.version)
        except cshelve.ConflictError:
            return  # Another request of this visitor was faster.
        response.set_cookie(
            name,
            cookie,
            max_age=SESSION_SECONDS,
            path=path,
            httponly=True,
            samesite="Lax",
            secure=self.get_cookie_secure(app),
        )


def key_of(cookie: str) -> str:
    """Return the key of a session. Nobody who can list the keys can log in with them."""
    return hashlib.sha256(cookie.encode()).hexdigest()


app = Flask(__name__)
app.session_interface = ShelfSessions()
app.config["MAX_CONTENT_LENGTH"] = 1 << 30


@app.post("/login")
def login() -> Response:
    user = request.form["user"]  # Check a password here.
    session.end()  # type: ignore[attr-defined]  # It is a `Session`.
    session["user"] = user
    return Response(status=204)


@app.post("/logout")
def logout() -> Response:
    session.end()  # type: ignore[attr-defined]
    return Response(status=204)


def files_of_user() -> cshelve.CloudShelf[bytes]:
    """Return a view of the shelf, which contains only the files of this user."""
    if "user" not in session:
        abort(401)
    return files.prefix(f"{session['user']}/")


@app.post("/files")
def upload() -> Response:
    file = request.files["file"]
    # In parts: the file is never in memory as a whole.
    files_of_user().upload(secure_filename(file.filename or "unnamed"), file.stream)
    return Response(status=201)


@app.get("/files")
def listing() -> dict[str, int]:
    return {entry.key: entry.size_bytes for entry in files_of_user().entries()}


@app.get("/files/<name>")
def download(name: str) -> AnyResponse:
    mine = files_of_user()
    if name not in mine:
        abort(404)
    # The browser gets the file from the bucket: it does not pass through this program.
    return redirect(mine.presigned_url(name, LINK_SECONDS))
