# The same verbs as `cargo xtask`, for those who have just.

# Format, lints, fast tests.
check:
    cargo xtask check

# Every test, real clients included; installs what they need.
test:
    cargo xtask test

# Real clients, all or those whose name has a word.
conform *words:
    cargo xtask conform {{words}}

# The wheel, into target/wheels.
wheel:
    cargo xtask wheel

# The wheel, installed, with examples/python/tour.py served and called.
tour:
    cargo xtask tour

# Every test of what is in Python.
python:
    cargo xtask python

# Fuzz one protocol, or all, for so many seconds each.
fuzz target="" seconds="60":
    cargo xtask fuzz "{{target}}" {{seconds}}

# Load generators and comparisons; see benches/README.md.
bench *words:
    cargo run --release --package polyport-benches -- {{words}}

# The documentation, with warnings as errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# Every test, then long fuzzing.
full:
    cargo xtask full
