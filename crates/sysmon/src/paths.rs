//! Where the files of a user live: XDG on Linux, what the system has for it elsewhere.

use std::path::PathBuf;

use directories::ProjectDirs;

use crate::settings::{FileSource, Folder, Settings, table};

/// Folders of this user. `None` for a user without a home.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    project: Option<ProjectDirs>,
}

impl Paths {
    /// Reads the environment.
    #[must_use]
    pub fn of_user() -> Self {
        Self {
            project: ProjectDirs::from("", "", "sysmon"),
        }
    }

    /// The usual configuration files, lowest precedence first; only `given` when there is one.
    #[must_use]
    pub fn config_files(&self, given: Option<&PathBuf>) -> Vec<FileSource> {
        if let Some(path) = given {
            let path = path.clone();
            return vec![FileSource {
                path,
                is_required: true,
            }];
        }
        let system = cfg!(unix).then(|| PathBuf::from("/etc/sysmon/sysmon.toml"));
        let user = self.config_folder().map(|folder| folder.join("sysmon.toml"));
        let optional = |path| FileSource {
            path,
            is_required: false,
        };
        system.into_iter().chain(user).map(optional).collect()
    }

    /// `$XDG_CONFIG_HOME/sysmon`.
    #[must_use]
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.project.as_ref().map(|project| project.config_dir().into())
    }

    /// The file of keys: the setting, else `keys.toml` in the configuration folder if it is there.
    #[must_use]
    pub fn keymap_file(&self, settings: &Settings) -> Option<PathBuf> {
        settings.get(&table::TUI_KEYMAP).or_else(|| {
            let usual = self.config_folder()?.join("keys.toml");
            usual.is_file().then_some(usual)
        })
    }

    /// `$XDG_DATA_HOME/sysmon`.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.project
            .as_ref()
            .map(|project| project.data_local_dir().into())
    }

    /// The file of tokens: the setting, else `tokens.toml` in the data folder.
    #[must_use]
    pub fn tokens_file(&self, settings: &Settings) -> Option<PathBuf> {
        settings
            .get(&table::AUTH_TOKENS_FILE)
            .or_else(|| Some(self.data_folder()?.join("tokens.toml")))
    }

    /// Where a collector keeps what is not in history yet: the setting, else `spool` in the state folder.
    #[must_use]
    pub fn spool_folder(&self, settings: &Settings) -> Option<PathBuf> {
        settings
            .get(&table::COLLECTOR_SPOOL_DIR)
            .map(|Folder(path)| path)
            .or_else(|| Some(self.state_folder()?.join("spool")))
    }

    /// The log of the terminal client: the setting, else `sysmon-tui.log` in the state folder.
    #[must_use]
    pub fn terminal_log_file(&self, settings: &Settings) -> Option<PathBuf> {
        settings
            .get(&table::LOG_FILE)
            .or_else(|| Some(self.state_folder()?.join("sysmon-tui.log")))
    }

    /// `$XDG_STATE_HOME/sysmon`; where a system has no such folder, the one for data.
    #[must_use]
    pub fn state_folder(&self) -> Option<PathBuf> {
        self.project.as_ref().map(|project| {
            project
                .state_dir()
                .unwrap_or_else(|| project.data_local_dir())
                .into()
        })
    }
}
