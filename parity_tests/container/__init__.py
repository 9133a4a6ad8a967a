"""The pipeline's own container under SageMaker's contract: what it takes, leaves and refuses."""
