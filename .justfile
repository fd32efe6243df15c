# Shows three devices that write apart and come together, on the files of a real directory.
demo *ARGS:
    cargo run --release -p example-app -- demo {{ARGS}}

# All tests.
test:
    cargo test --workspace

# Everything that is checked before a change goes in.
check:
    .ci/run

# What capture, merge and transfer cost, beside plain SeaORM and plain rusqlite in the same run.
workload DIR="target/workload" ROWS="100000" AUTO="20000":
    cargo run --release -p sync-tests --bin workload -- {{DIR}} {{ROWS}} {{AUTO}}

# What encoding, decoding and hashing a change cost.
codec:
    cargo run --release -p sync-core --example codec
