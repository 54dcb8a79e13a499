"""What the service costs, carries and promises: figures for operators, never part of what runs on AWS. `python -m backend_lambda.planning --help`."""
