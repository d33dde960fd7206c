"""`aws-s3`: a shelf in an Amazon S3 bucket, or in one of a server that speaks its protocol."""
