//! Which of our crates may depend on which, as the design's table of layers says.

use cargo_metadata::{DependencyKind, Metadata};

use super::Violation;

/// A workspace member and what it depends on, of ours and of others.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) is_dev: bool,
}

/// The layers of the design, lowest first; a test may use what is in a lower layer than its crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Domain,
    Shared,
    Role,
    Binary,
    Tool,
}

struct Rule {
    name: &'static str,
    layer: Layer,
    may_use: &'static [&'static str],
}

const BINARY_CRATE: &str = "sysmon";

/// The crates that exist and those that the design plans, so that they come with their arrows already decided.
const RULES: &[Rule] = &[
    Rule {
        name: "sysmon-core",
        layer: Layer::Domain,
        may_use: &[],
    },
    Rule {
        name: "sysmon-api",
        layer: Layer::Shared,
        may_use: &["sysmon-core"],
    },
    Rule {
        name: "sysmon-store",
        layer: Layer::Shared,
        may_use: &["sysmon-core"],
    },
    Rule {
        name: "sysmon-collector",
        layer: Layer::Role,
        may_use: &["sysmon-core", "sysmon-api"],
    },
    Rule {
        name: "sysmon-aggregator",
        layer: Layer::Role,
        may_use: &["sysmon-core", "sysmon-api", "sysmon-store"],
    },
    Rule {
        name: "sysmon-alerts",
        layer: Layer::Role,
        may_use: &["sysmon-core", "sysmon-api", "sysmon-store"],
    },
    Rule {
        name: "sysmon-gateway",
        layer: Layer::Role,
        may_use: &["sysmon-core", "sysmon-api"],
    },
    Rule {
        name: "sysmon-tui",
        layer: Layer::Role,
        may_use: &["sysmon-core", "sysmon-api"],
    },
    Rule {
        name: BINARY_CRATE,
        layer: Layer::Binary,
        may_use: &[
            "sysmon-core",
            "sysmon-api",
            "sysmon-store",
            "sysmon-collector",
            "sysmon-aggregator",
            "sysmon-alerts",
            "sysmon-gateway",
            "sysmon-tui",
        ],
    },
    Rule {
        name: "xtask",
        layer: Layer::Tool,
        may_use: &[],
    },
];

/// The workspace members with their dependencies, for every platform and feature.
pub(crate) fn packages(metadata: &Metadata) -> Vec<Package> {
    let package = |package: &&cargo_metadata::Package| Package {
        name: package.name.to_string(),
        dependencies: package
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                is_dev: dependency.kind == DependencyKind::Development,
            })
            .collect(),
    };
    metadata.workspace_packages().iter().map(package).collect()
}

/// Every dependency of one of our crates on another that the table does not allow.
pub(crate) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(rule) = rule_of(&package.name) else {
            violations.push(Violation::new(
                &package.name,
                "a crate that the table of layers does not know",
                "give it a layer and its arrows in xtask/src/tidy/arrows.rs, after the design has them",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(target) = rule_of(&dependency.name) else {
                continue;
            };
            // Its own name means a dev-dependency of a crate on itself, which turns features on for its tests.
            if target.name != rule.name && !is_allowed(rule, target, dependency.is_dev) {
                violations.push(violation(rule, target, dependency.is_dev));
            }
        }
    }
    violations
}

fn rule_of(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

fn is_allowed(from: &Rule, to: &Rule, is_dev: bool) -> bool {
    let is_test_of_lower_layer = is_dev && (from.name == BINARY_CRATE || to.layer < from.layer);
    from.may_use.contains(&to.name) || is_test_of_lower_layer
}

fn violation(from: &Rule, to: &Rule, is_dev: bool) -> Violation {
    let kind = if is_dev { "dev-depends" } else { "depends" };
    let remedy = if is_dev {
        format!("test it with what is in a lower layer, or move the test to the crate `{BINARY_CRATE}`")
    } else if from.may_use.is_empty() {
        "it depends on none of our crates; move the code to where it is needed".to_owned()
    } else {
        format!(
            "it may use {}; move what both need into one of them",
            from.may_use.join(", ")
        )
    };
    Violation::new(
        from.name,
        format!("{kind} on {}, an arrow that the design does not have", to.name),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(name: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            is_dev: false,
        }
    }

    fn dev(name: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            is_dev: true,
        }
    }

    fn violations(name: &str, dependencies: Vec<Dependency>) -> Vec<Violation> {
        check(&[Package {
            name: name.to_owned(),
            dependencies,
        }])
    }

    #[test]
    fn the_arrows_of_the_design_are_allowed() {
        for (name, dependencies) in [
            ("sysmon-core", vec![]),
            ("sysmon-api", vec!["sysmon-core"]),
            ("sysmon-store", vec!["sysmon-core"]),
            ("sysmon-collector", vec!["sysmon-core", "sysmon-api"]),
            (
                "sysmon-aggregator",
                vec!["sysmon-core", "sysmon-api", "sysmon-store"],
            ),
            ("sysmon-gateway", vec!["sysmon-core", "sysmon-api"]),
            ("sysmon-tui", vec!["sysmon-core", "sysmon-api", "serde"]),
            (
                "sysmon",
                vec!["sysmon-core", "sysmon-collector", "sysmon-alerts", "sysmon-tui"],
            ),
        ] {
            let dependencies = dependencies.into_iter().map(normal).collect();
            assert_eq!(violations(name, dependencies), [], "{name}");
        }
    }

    #[test]
    fn arrows_upwards_sideways_and_past_the_api_are_violations() {
        for (name, dependency) in [
            ("sysmon-core", "sysmon-api"),
            ("sysmon-api", "sysmon-store"),
            ("sysmon-api", "sysmon-collector"),
            ("sysmon-tui", "sysmon-aggregator"),
            ("sysmon-tui", "sysmon-store"),
            ("sysmon-collector", "sysmon-tui"),
            ("sysmon-tui", "sysmon"),
            ("sysmon", "xtask"),
            ("xtask", "sysmon-core"),
        ] {
            let found = violations(name, vec![normal(dependency)]);
            assert_eq!(found.len(), 1, "{name} -> {dependency}");
            assert_eq!(found[0].at, name);
            assert!(found[0].problem.contains(dependency), "{}", found[0]);
        }
    }

    #[test]
    fn tests_may_use_lower_layers_but_not_their_own() {
        assert_eq!(
            violations("sysmon-tui", vec![dev("sysmon-store"), dev("sysmon-tui")]),
            []
        );
        assert_eq!(
            violations("sysmon-collector", vec![dev("sysmon-aggregator")]).len(),
            1
        );
        assert_eq!(violations("sysmon-api", vec![dev("sysmon-aggregator")]).len(), 1);
        assert_eq!(violations("sysmon-core", vec![dev("sysmon-api")]).len(), 1);
    }

    #[test]
    fn tests_of_the_binaries_may_use_everything() {
        let everything = RULES.iter().map(|rule| dev(rule.name)).collect();
        assert_eq!(violations("sysmon", everything), []);
    }

    #[test]
    fn a_crate_without_a_layer_is_reported() {
        let found = violations("sysmon-extra", vec![normal("sysmon-core")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, "sysmon-extra");
    }

    #[test]
    fn the_table_itself_has_no_arrow_within_or_up_the_layers() {
        for rule in RULES {
            for name in rule.may_use {
                let target = rule_of(name).unwrap();
                assert!(target.layer < rule.layer, "{} -> {name}", rule.name);
            }
        }
    }
}
