"""The ports' adapters for AWS. The only place that imports boto3."""
