//! End-to-end tests stand in `tests/`, a folder for each tier; what they stand on is `test_kit`.
