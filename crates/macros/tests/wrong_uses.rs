//! Wrong uses of the attributes fail to compile, with a message that helps.

#[test]
fn wrong_uses_fail_with_a_message_that_helps() {
    trybuild::TestCases::new().compile_fail("tests/wrong_uses/*.rs");
}
