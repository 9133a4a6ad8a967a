"""The infrastructure: a CDK app, and the committed snapshot of what it synthesizes."""
