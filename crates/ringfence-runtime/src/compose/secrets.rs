//! Well-known places of secrets: shown as places nobody may look into, so that programs say
//! *permission denied* and not that there are none.

use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Access, FilePlan};

use crate::notice::Notice;

/// Secret places, relative to the home directory; shown whether or not they exist.
pub const SECRET_PLACES: &[&str] = &[
    ".aws",
    ".azure",
    ".bash_history",
    ".cargo/credentials.toml",
    ".config/chromium",
    ".config/doctl",
    ".config/gcloud",
    ".config/gh",
    ".config/google-chrome",
    ".config/hub",
    ".config/op",
    ".config/BraveSoftware",
    ".docker/config.json",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".mozilla",
    ".netrc",
    ".password-store",
    ".pgpass",
    ".pki",
    ".pypirc",
    ".ssh",
    ".terraform.d/credentials.tfrc.json",
    ".thunderbird",
    ".vault-token",
    ".zsh_history",
];

/// The secret places that stay covered: all but those that the policy itself names.
pub(super) fn masks(home: &Path, plan: &FilePlan, notices: &mut Vec<Notice>) -> Vec<PathBuf> {
    let mut masks = Vec::new();
    for place in SECRET_PLACES.iter().map(|name| home.join(name)) {
        let named = plan
            .rules
            .iter()
            .any(|rule| rule.access != Access::Hidden && rule.path.as_path().starts_with(&place));
        if named {
            continue;
        }
        let path = place.to_str().and_then(|text| AbsolutePath::parse(text).ok());
        let granted = path.is_some_and(|path| plan.access(&path).0 != Access::Hidden);
        if granted && place.exists() {
            let text = format!("`{}` stays covered: it holds secrets", place.display());
            notices.push(Notice::new(text).hint("to open it, name it in a rule of its own"));
        }
        masks.push(place);
    }
    masks
}
