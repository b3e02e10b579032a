//! File and function sizes. Tests do not count: a long table of cases is easy to read.

use super::Violation;
use super::source::{closing, code_only, is_word, line_of, opening, words};

/// The most lines a source file may have, its trailing test module not counted.
const FILE_LINES_MAX: usize = 500;

/// The most lines a function may have, from the line with `fn` to the one with its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Checks one source file; `path` is what the report calls it.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let code = code_only(text);
    let production = &code[..production_end(&code)];
    let mut violations = Vec::new();
    let lines = production.trim_end().lines().count();
    if lines > FILE_LINES_MAX {
        violations.push(Violation::new(
            path,
            format!("{lines} lines without its tests; at most {FILE_LINES_MAX}"),
            "split it by responsibility into a folder of the same name",
        ));
    }
    for function in functions(production) {
        if function.lines > FUNCTION_LINES_MAX {
            violations.push(Violation::new(
                format!("{path}:{}", function.line),
                format!(
                    "function `{}` has {} lines; at most {FUNCTION_LINES_MAX}",
                    function.name, function.lines
                ),
                "name its parts as functions of their own",
            ));
        }
    }
    violations
}

#[derive(Debug, PartialEq, Eq)]
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// Every function with a body. Function pointer types, trait methods without a body and the `fn $name` of a macro
/// have none, and are left out.
fn functions(code: &str) -> Vec<Function<'_>> {
    words(code, "fn")
        .filter_map(|keyword| {
            let name_start =
                keyword.end + code[keyword.end..].find(|character: char| !character.is_whitespace())?;
            let name_end = name_start
                + code[name_start..]
                    .bytes()
                    .take_while(|&byte| is_word(byte) || byte == b'#')
                    .count();
            let name = &code[name_start..name_end];
            if name.is_empty() {
                return None;
            }
            let open = body_start(code, name_end)?;
            let close = closing(code, open)?;
            let line = line_of(code, keyword.start);
            Some(Function {
                name,
                line,
                lines: line_of(code, close) + 1 - line,
            })
        })
        .collect()
}

/// The offset of the brace that opens the body of the function whose name ends at `from`; `None` without a body.
fn body_start(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b'{' if depth == 0 => return Some(offset),
            b';' | b'}' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Where the production code ends: before the `#[cfg(test)] mod … { … }` blocks at the end of the file.
fn production_end(code: &str) -> usize {
    let mut end = code.len();
    while let Some(start) = trailing_test_module(&code[..end]) {
        end = start;
    }
    end
}

fn trailing_test_module(code: &str) -> Option<usize> {
    let trimmed = code.trim_end();
    let open = opening(trimmed, trimmed.strip_suffix('}')?.len())?;
    let head = trimmed[..open].trim_end();
    let name_length = head.bytes().rev().take_while(|&byte| is_word(byte)).count();
    let mut before = head[..head.len() - name_length]
        .trim_end()
        .strip_suffix("mod")?
        .trim_end();
    // What several modules' tests need may be visible to them.
    for visibility in ["pub(super)", "pub(crate)"] {
        before = before.strip_suffix(visibility).unwrap_or(before).trim_end();
    }
    let mut is_test = false;
    while before.ends_with(']') {
        let open = opening(before, before.len() - 1)?;
        let attribute = &before[open..];
        is_test |= attribute == "[cfg(test)]" || attribute.starts_with("[cfg(all(test,");
        before = before[..open].strip_suffix('#')?.trim_end();
    }
    is_test.then_some(before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> Vec<String> {
        check("a.rs", text).iter().map(ToString::to_string).collect()
    }

    fn function_of(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    call();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_of_exactly_the_limit_passes_and_one_line_more_does_not() {
        assert_eq!(report(&"// x\n".repeat(0)), Vec::<String>::new());
        assert_eq!(report(&"struct A;\n".repeat(500)), Vec::<String>::new());
        let found = report(&"struct A;\n".repeat(501));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("a.rs: 501 lines without its tests"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn comment_lines_count_as_lines_of_the_file() {
        assert_eq!(report(&format!("{}struct A;\n", "// why\n".repeat(500))).len(), 1);
    }

    #[test]
    fn trailing_test_modules_do_not_count() {
        let tests = format!(
            "#[cfg(test)]\n#[expect(dead_code, reason = \"]\")]\nmod tests {{\n{}}}\n",
            function_of(600)
        );
        let more = "#[cfg(all(test, unix))]\nmod unix_tests {\n}\n";
        assert_eq!(report(&format!("struct A;\n{tests}{more}")), Vec::<String>::new());
    }

    #[test]
    fn a_test_module_before_production_code_counts() {
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    struct A;\n".repeat(600)
        );
        assert_eq!(report(&format!("{tests}struct B;\n")).len(), 1);
    }

    #[test]
    fn a_module_that_is_not_for_tests_counts() {
        assert_eq!(
            report(&format!(
                "#[cfg(unix)]\nmod tests {{\n{}}}\n",
                "    struct A;\n".repeat(600)
            ))
            .len(),
            1
        );
        assert_eq!(
            report(&format!("mod tests {{\n{}}}\n", "    struct A;\n".repeat(600))).len(),
            1
        );
    }

    #[test]
    fn a_function_of_exactly_the_limit_passes_and_one_line_more_does_not() {
        assert_eq!(report(&function_of(70)), Vec::<String>::new());
        let found = report(&format!("struct A;\n{}", function_of(71)));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("a.rs:2: function `long` has 71 lines"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_lengthen_a_function() {
        let text = format!(
            "fn short() {{ // {{\n    f(\"{{\", '{{', r#\"{{\"#); /* {{ */\n}}\n{}",
            "struct A;\n".repeat(100)
        );
        assert_eq!(report(&text), Vec::<String>::new());
    }

    #[test]
    fn only_functions_with_a_body_are_measured() {
        let text = "trait T { fn a(&self); fn b() -> [u8; 3]; }\ntype F = fn(u8) -> u8;\nmacro_rules! m { ($n:ident) => \
                    { fn $n() {} } }\nfn c<T>(f: fn(u8), g: [u8; { 1 + 1 }]) where T: Fn() {\n}\nfn r#type() {}";
        let names: Vec<_> = functions(text)
            .iter()
            .map(|function| (function.name, function.lines))
            .collect();
        assert_eq!(names, [("c", 2), ("r#type", 1)]);
    }
}
