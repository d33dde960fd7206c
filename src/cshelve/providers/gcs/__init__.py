"""The provider `gcs`: shelves in Google Cloud Storage."""
