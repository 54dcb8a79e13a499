"""The ports' adapters for AWS. The only place that imports botocore (the part of boto3 that is needed here)."""
