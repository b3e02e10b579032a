//! Names of users, from `/etc/passwd` (passwd(5)) alone.
//!
//! Directory services would have to be asked through the C library's modules, each of which may block on a network;
//! users that only they know show by their number.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Roots;
use crate::file::{Buffer, KeptFile};
use crate::parse::lines;

/// How long an unknown number does not make the file be read again.
const REREAD_NS: u64 = 60_000_000_000;

/// The names by number.
#[derive(Debug)]
pub(crate) struct Users {
    path: PathBuf,
    names: HashMap<u32, Arc<str>>,
    read_ns: Option<u64>,
}

impl Users {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            path: roots.path("/etc/passwd"),
            names: HashMap::new(),
            read_ns: None,
        }
    }

    /// The name of a user, or the number of one who has none.
    pub(crate) fn name(&mut self, user_id: u32, now_ns: u64) -> Arc<str> {
        if let Some(name) = self.names.get(&user_id) {
            return Arc::clone(name);
        }
        if self
            .read_ns
            .is_none_or(|read_ns| now_ns.saturating_sub(read_ns) >= REREAD_NS)
        {
            self.read_ns = Some(now_ns);
            self.read();
        }
        self.names
            .get(&user_id)
            .map_or_else(|| user_id.to_string().into(), Arc::clone)
    }

    fn read(&mut self) {
        let mut buffer = Buffer::default();
        let Some(text) = KeptFile::new(&self.path).read(&mut buffer) else {
            return;
        };
        self.names.clear();
        for line in lines(text) {
            let mut fields = line.split(|byte| *byte == b':');
            let (Some(name), Some(user_id)) = (fields.next(), fields.nth(1)) else {
                continue;
            };
            let Some(user_id) = crate::parse::number(user_id).and_then(|number| u32::try_from(number).ok())
            else {
                continue;
            };
            // The first name of a number is the one that ps shows.
            self.names
                .entry(user_id)
                .or_insert_with(|| String::from_utf8_lossy(name).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    #[test]
    fn a_user_who_was_added_later_is_found_after_a_minute() {
        let bench = Bench::new();
        let mut users = Users::new(&bench.roots());
        bench.write(
            "etc/passwd",
            "root:x:0:0::/:\ntoor:x:0:0\n#odd\n:::\nx:y:notanumber:\n\u{fffd}\n",
        );
        assert_eq!(&*users.name(0, 0), "root");
        assert_eq!(&*users.name(1_000, 1), "1000");
        bench.write("etc/passwd", "root:x:0:0::/:\nalice:x:1000:1000\n");
        assert_eq!(
            &*users.name(1_000, REREAD_NS - 1),
            "1000",
            "not read again at every process"
        );
        assert_eq!(&*users.name(1_000, REREAD_NS), "alice");
    }

    #[test]
    fn without_the_file_users_go_by_number() {
        let bench = Bench::new();
        assert_eq!(&*Users::new(&bench.roots()).name(33, 0), "33");
    }
}
