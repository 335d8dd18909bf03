"""The known ways in which tests/seeded-faults breaks the project."""
