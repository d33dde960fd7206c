"""`sftp`: a shelf in a folder of a server that speaks SFTP."""
