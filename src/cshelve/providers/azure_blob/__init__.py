"""`azure-blob`: a shelf in a container of Azure Blob Storage."""
