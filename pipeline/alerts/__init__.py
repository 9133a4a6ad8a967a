"""What is said to people when a device's episode opens."""
