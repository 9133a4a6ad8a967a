"""The Step Functions workflow that trains a model and puts it into service."""
