"""The package name under which submissions have always imported their interface."""
