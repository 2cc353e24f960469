//! Just enough reading of curly-brace languages: comments, strings, and where functions begin and end.

/// A function's place and length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it begins, from 1.
    pub line: usize,
    /// How many lines it takes.
    pub lines: usize,
    /// What stands between its braces.
    pub body: String,
}

/// The text with every comment's characters replaced by spaces, so that lines and columns stay. Strings are kept.
pub fn without_comments(text: &str) -> String {
    blank(text, false)
}

/// The text with the characters of comments, and of strings if wished, replaced by spaces.
fn blank(text: &str, strings: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut push = |from: usize, to: usize, hide: bool| {
        out.extend(chars[from..to].iter().map(|&c| if hide && c != '\n' { ' ' } else { c }));
    };
    while at < chars.len() {
        let rest = &chars[at..];
        let (len, hide) = match rest {
            ['/', '/', ..] => (rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()), true),
            ['/', '*', ..] => (block_comment(rest), true),
            ['"', ..] => (string(rest), strings),
            ['r', '#', '"', ..] => (raw_string(rest), strings),
            // A character; a lifetime has no closing quote so near.
            ['\'', '\\', _, '\'', ..] => (4, strings),
            ['\'', _, '\'', ..] => (3, strings),
            _ => (1, false),
        };
        push(at, at + len, hide);
        at += len;
    }
    out
}

/// Length of the comment at the start, those inside it included.
fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of the string at the start, with its quotes.
fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of `r#"..."#` at the start.
fn raw_string(rest: &[char]) -> usize {
    rest.windows(2).position(|pair| pair == ['"', '#']).map_or(rest.len(), |end| end + 2)
}

/// Every Rust function of a text that has a body.
pub fn functions(text: &str) -> Vec<Function> {
    let text = blank(text, true);
    let mut found = Vec::new();
    for (at, _) in text.match_indices("fn ") {
        let name: String = text[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let is_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        // A type like `fn(u32)` has no name, a declaration in a trait ends with a semicolon.
        let Some(open) = text[at..].find(['{', ';']).map(|offset| at + offset) else { continue };
        if !is_word || name.is_empty() || text[open..].starts_with(';') {
            continue;
        }
        let close = matching_brace(&text[open..]).map_or(text.len(), |offset| open + offset);
        found.push(Function {
            name,
            line: text[..at].matches('\n').count() + 1,
            lines: text[at..close].matches('\n').count() + 1,
            body: text[open..close].to_owned(),
        });
    }
    found
}

/// Where the brace at the start is closed.
fn matching_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_vanish_and_strings_stay() {
        assert_eq!(without_comments("a // b\nc /* d /* e */ f */ g"), "a     \nc                   g");
        assert_eq!(without_comments(r#"a("// b", '"') // c"#).trim_end(), r#"a("// b", '"')"#);
        assert_eq!(without_comments("r#\"// \"b\"\"#"), "r#\"// \"b\"\"#");
    }

    #[test]
    fn functions_are_measured() {
        let found = functions("trait T { fn a(); }\nfn b() {\n    \"}\";\n}\n\nfn c<'a>() -> u32 { 1 }\n");
        let seen: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(seen, [("b", 2, 3), ("c", 6, 1)]);
    }
}
