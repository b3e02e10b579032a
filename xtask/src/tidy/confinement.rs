//! Third-party libraries that must not leave the crate that wraps them.

use super::Violation;
use super::arrows::Package;

/// A family of libraries (`tonic`, `tonic-health`, …) by its common first name, and where it may be.
struct Confinement {
    family: &'static str,
    place: Place,
    why: &'static str,
}

enum Place {
    Only(&'static [&'static str]),
    NotIn(&'static [&'static str]),
}

const CONFINEMENTS: &[Confinement] = &[
    Confinement {
        family: "tonic",
        place: Place::Only(&["sysmon-api"]),
        why: "wrap what is needed in sysmon-api, in terms of sysmon-core",
    },
    Confinement {
        family: "sqlx",
        place: Place::Only(&["sysmon-store"]),
        why: "add a method to one of the traits of sysmon-store",
    },
    Confinement {
        family: "redis",
        place: Place::Only(&["sysmon-store"]),
        why: "add a method to one of the traits of sysmon-store",
    },
    Confinement {
        family: "ratatui",
        place: Place::Only(&["sysmon-tui"]),
        why: "draw in sysmon-tui and call that",
    },
    Confinement {
        family: "crossterm",
        place: Place::Only(&["sysmon-tui"]),
        why: "let sysmon-tui own the terminal and call that",
    },
    Confinement {
        family: "sysinfo",
        place: Place::Only(&["sysmon-collector"]),
        why: "let a probe of sysmon-collector read it",
    },
    Confinement {
        family: "bollard",
        place: Place::Only(&["sysmon-collector"]),
        why: "let a probe of sysmon-collector read it",
    },
    Confinement {
        family: "axum",
        place: Place::Only(&["sysmon-gateway"]),
        why: "sysmon-gateway is the only place that knows HTTP",
    },
    Confinement {
        family: "tokio",
        place: Place::NotIn(&["sysmon-core"]),
        why: "the core is pure; let the caller wait and hand the result in",
    },
];

/// The crate whose tests may use everything, because they meet the product from outside.
const FREE_TESTS: &str = "sysmon";

/// Every dependency on a confined library from outside its place.
pub(crate) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            if dependency.is_dev && package.name == FREE_TESTS {
                continue;
            }
            let broken = CONFINEMENTS.iter().find(|confinement| {
                is_of_family(&dependency.name, confinement.family) && !confinement.place.admits(&package.name)
            });
            if let Some(confinement) = broken {
                violations.push(Violation::new(
                    &package.name,
                    format!(
                        "depends on {}, which {}",
                        dependency.name,
                        confinement.place.describe()
                    ),
                    confinement.why,
                ));
            }
        }
    }
    violations
}

impl Place {
    fn admits(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(&name),
            Self::NotIn(names) => !names.contains(&name),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Only(names) => format!("stays in {}", names.join(" and ")),
            Self::NotIn(names) => format!("must not be in {}", names.join(" and ")),
        }
    }
}

fn is_of_family(name: &str, family: &str) -> bool {
    name.strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::super::arrows::Dependency;
    use super::*;

    fn count(name: &str, dependency: &str, is_dev: bool) -> usize {
        let dependencies = vec![Dependency {
            name: dependency.to_owned(),
            is_dev,
        }];
        check(&[Package {
            name: name.to_owned(),
            dependencies,
        }])
        .len()
    }

    #[test]
    fn confined_libraries_are_at_home_in_their_place_only() {
        for (family, home) in [
            ("tonic", "sysmon-api"),
            ("tonic-health", "sysmon-api"),
            ("sqlx", "sysmon-store"),
            ("redis", "sysmon-store"),
            ("ratatui", "sysmon-tui"),
            ("ratatui-core", "sysmon-tui"),
            ("crossterm", "sysmon-tui"),
            ("sysinfo", "sysmon-collector"),
            ("bollard", "sysmon-collector"),
            ("axum", "sysmon-gateway"),
        ] {
            assert_eq!(count(home, family, false), 0, "{family} in {home}");
            for elsewhere in ["sysmon-core", "sysmon-aggregator", "sysmon"] {
                assert_eq!(count(elsewhere, family, false), 1, "{family} in {elsewhere}");
            }
        }
    }

    #[test]
    fn the_runtime_is_everywhere_but_in_the_core() {
        assert_eq!(count("sysmon-core", "tokio", false), 1);
        assert_eq!(count("sysmon-core", "tokio-util", true), 1);
        assert_eq!(count("sysmon-tui", "tokio", false), 0);
    }

    #[test]
    fn only_tests_of_the_binaries_may_go_around_the_wrappers() {
        assert_eq!(count("sysmon", "tonic", true), 0);
        assert_eq!(count("sysmon-aggregator", "tonic", true), 1);
    }

    #[test]
    fn a_similar_name_is_no_member_of_the_family() {
        assert_eq!(count("sysmon-core", "tonicity", false), 0);
        assert_eq!(count("sysmon-core", "redisplay", false), 0);
    }
}
