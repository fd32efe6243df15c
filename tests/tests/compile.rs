//! Which entities the derive takes, and what it says of those that it does not.
//!
//! The messages in `compile/fail` are part of the promise: `TRYBUILD=overwrite` writes them anew, and a
//! reader then judges whether each says what to write instead.

/// One function, so that the dependencies are built once for both kinds.
#[test]
fn entities_compile_or_say_why_not() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/pass/*.rs");
    cases.compile_fail("tests/compile/fail/*.rs");
}
