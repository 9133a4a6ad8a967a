"""Training and serving of the autoencoder under SageMaker's container contract."""
