"""Holds `interface`, the only module that a submission needs to import."""
