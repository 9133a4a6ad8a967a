"""For the tests of those who build on the twin: a pytest plug-in, a twin in process, strategies."""
