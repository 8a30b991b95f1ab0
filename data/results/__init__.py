"""The tables of long runs. In an installed labkit they are `labkit.results`."""
