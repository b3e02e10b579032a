//! Settings from the environment: `SYSMON_<SECTION>_<KEY>`, and with `_FILE` for secrets.

use super::Loader;
use super::problem::Origin;
use super::raw::Raw;
use super::setting::AnySetting;
use super::suggest::nearest;
use super::table::TABLE;

/// Takes over what the variables say.
pub(super) fn read(variables: &[(String, String)], loader: &mut Loader) {
    let mut variables: Vec<_> = variables
        .iter()
        .filter(|(name, _)| name.starts_with("SYSMON_") && !name.starts_with("SYSMON_TEST_"))
        .collect();
    variables.sort();
    for (name, value) in &variables {
        let origin = Origin::Variable(name.clone());
        if let Some(setting) = find(name) {
            loader.take(setting, Raw::Text(value.clone()), origin);
        } else if let Some(setting) = name
            .strip_suffix("_FILE")
            .and_then(find)
            .filter(|it| it.is_secret())
        {
            if variables.iter().any(|(other, _)| *other == setting.variable()) {
                loader.problem(
                    origin,
                    format!("{} is set as well; set one of the two", setting.variable()),
                );
            } else {
                loader.take_secret_file(setting, value.into(), origin);
            }
        } else if let Some(meant) = nearest(name, names()) {
            loader.problem(origin, format!("no setting has this name; did you mean {meant}?"));
        } else {
            // Not an error: container orchestrators put variables of this form beside every service of our name
            // (SYSMON_SERVICE_HOST).
            loader.warning(origin, "no setting has this name; it is ignored");
        }
    }
}

fn find(variable: &str) -> Option<&'static dyn AnySetting> {
    TABLE
        .iter()
        .copied()
        .find(|setting| setting.variable() == variable)
}

fn names() -> impl Iterator<Item = String> {
    TABLE.iter().flat_map(|setting| {
        let file = setting
            .is_secret()
            .then(|| format!("{}_FILE", setting.variable()));
        std::iter::once(setting.variable()).chain(file)
    })
}
