//! Which crate may depend on which.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// What a crate is for, which decides what it may depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Core,
    Wire,
    /// Bytes that several protocols share, and nothing else.
    Codec,
    Macros,
    Protocol,
    /// Runs functions in processes of their own, which talk the worker protocol.
    Workers,
    /// The library that people use, which brings all together.
    Glue,
    /// Programs of the project itself, on which nothing depends.
    Tool,
}

fn role(name: &str, folder: &str) -> Option<Role> {
    Some(match (name, folder) {
        ("polyport-core", "crates/core") => Role::Core,
        ("polyport-wire", "crates/wire") => Role::Wire,
        ("polyport-pack", "crates/pack") => Role::Codec,
        ("polyport-macros", "crates/macros") => Role::Macros,
        ("polyport-workers", "crates/workers") => Role::Workers,
        ("polyport", "crates/polyport") => Role::Glue,
        ("polyport-benches", "benches") | ("xtask", "xtask") => Role::Tool,
        (name, folder) => {
            let protocol = folder.strip_prefix("crates/protocols/")?;
            (name == format!("polyport-{protocol}")).then_some(Role::Protocol)?
        }
    })
}

fn may_depend(from: Role, to: Role) -> bool {
    match from {
        Role::Core | Role::Macros => false,
        Role::Wire | Role::Codec => to == Role::Core,
        Role::Protocol => matches!(to, Role::Core | Role::Wire | Role::Codec),
        // Of the protocols only that of the workers; see below.
        Role::Workers => matches!(to, Role::Core | Role::Codec | Role::Protocol),
        Role::Glue | Role::Tool => to != Role::Tool,
    }
}

#[test]
fn the_crates_depend_on_each_other_only_as_the_architecture_says() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let folder = |package: &Package| {
        let folder = package.manifest_path.parent().unwrap();
        folder.strip_prefix(&metadata.workspace_root).unwrap().to_string()
    };
    let own: BTreeSet<_> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let role_of = |name: &str| {
        let package = metadata.packages.iter().find(|p| p.name.as_str() == name).unwrap();
        let folder = folder(package);
        role(name, &folder).unwrap_or_else(|| {
            panic!("{name} in {folder} has no role yet: decide what it may depend on")
        })
    };
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let from = role_of(&package.name);
        // Of any kind: a test that needs another protocol belongs above both. Only the attributes
        // expand to paths into the library, so their tests need it.
        for needed in package.dependencies.iter().filter(|d| own.contains(d.name.as_str())) {
            let to = role_of(&needed.name);
            let tests = needed.kind == DependencyKind::Development;
            let expands = tests && (from, to) == (Role::Macros, Role::Glue);
            let foreign = from == Role::Workers && to == Role::Protocol;
            let foreign = foreign && needed.name != "polyport-worker";
            if foreign || !may_depend(from, to) && !expands {
                wrong.push(format!("{} -> {}", package.name, needed.name));
            }
        }
    }
    assert!(wrong.is_empty(), "not allowed: {}", wrong.join(", "));
}

#[test]
fn a_protocol_may_use_the_core_and_never_another_protocol() {
    for shared in [Role::Core, Role::Wire, Role::Codec] {
        assert!(may_depend(Role::Protocol, shared) && !may_depend(shared, Role::Protocol));
    }
    assert!(!may_depend(Role::Protocol, Role::Protocol));
    assert_eq!(role("polyport-mysql", "crates/protocols/mysql"), Some(Role::Protocol));
    assert_eq!(role("polyport-mysql", "crates/mysql"), None);
}
