//! Habits that rustc and clippy cannot enforce everywhere: they see neither file names nor code of other platforms.

use super::Violation;
use super::source::{closing, code_only, line_of, words};

/// Checks one source file, a test or not; `path` is what the report calls it.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if path.rsplit('/').next() == Some("mod.rs") {
        violations.push(Violation::new(
            path,
            "a module file called mod.rs",
            "call it after its folder, beside the folder; for integration tests make it a module of one tests/it/main.rs",
        ));
    }
    let code = code_only(text);
    for (hash, _) in code.match_indices('#') {
        let rest = &code[hash + 1..];
        let open = hash + 1 + usize::from(rest.starts_with('!'));
        if !code[open..].starts_with('[') {
            continue;
        }
        let Some(close) = closing(&code, open) else {
            continue;
        };
        let attribute = &code[open..close];
        if words(attribute, "allow").any(|word| attribute[word.end..].trim_start().starts_with('(')) {
            violations.push(Violation::new(
                format!("{path}:{}", line_of(&code, hash)),
                "an `allow` attribute",
                "use #[expect(lint, reason = \"…\")], which fails as soon as it is not needed any more",
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<String> {
        check(path, text)
            .into_iter()
            .map(|violation| violation.at)
            .collect()
    }

    #[test]
    fn mod_rs_is_found_by_its_whole_name() {
        assert_eq!(places("crates/a/src/b/mod.rs", ""), ["crates/a/src/b/mod.rs"]);
        assert_eq!(places("crates/a/src/b/some_mod.rs", ""), Vec::<String>::new());
    }

    #[test]
    fn allow_is_found_in_outer_inner_and_conditional_attributes() {
        let text = "#![allow(dead_code)]\n#[allow(\n    unused\n)]\nfn a() {}\n#[cfg_attr(windows, allow (unused))]\nfn b() {}";
        assert_eq!(places("a.rs", text), ["a.rs:1", "a.rs:2", "a.rs:6"]);
    }

    #[test]
    fn allow_elsewhere_is_no_violation() {
        let text = "// #[allow(x)]\nconst A: &str = \"#[allow(x)]\";\n#[expect(a, reason = \"allow(x)\")]\n\
                    fn allow() { allow(1); r#\"#[allow(x)]\"#; }\n#[serde(allow_empty(x))]\nstruct B;\n#[name = allow]\nstruct C;";
        assert_eq!(places("a.rs", text), Vec::<String>::new());
    }
}
