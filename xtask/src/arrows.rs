//! Which crate may use which; a new arrow needs a page in docs/adr/.

/// Crate, and the crates of ours it may use (DESIGN: "Crates and arrows").
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("ringfence-core", &[]),
    ("ringfence-policy", &["ringfence-core"]),
    ("ringfence-detect", &["ringfence-core"]),
    ("ringfence-log", &["ringfence-core"]),
    ("ringfence-sandbox", &["ringfence-core"]),
    ("ringfence-secrets", &["ringfence-core"]),
    ("ringfence-proxy", &["ringfence-core", "ringfence-secrets"]),
    (
        "ringfence-runtime",
        &[
            "ringfence-core",
            "ringfence-detect",
            "ringfence-log",
            "ringfence-policy",
            "ringfence-proxy",
            "ringfence-sandbox",
            "ringfence-secrets",
        ],
    ),
    (
        "ringfence",
        &[
            "ringfence-core",
            "ringfence-log",
            "ringfence-policy",
            "ringfence-proxy",
            "ringfence-runtime",
            "ringfence-sandbox",
            "ringfence-secrets",
        ],
    ),
    // Loaded into other programs: it has nothing of ours in it.
    ("ringfence-preload", &[]),
    ("ringfence-testkit", &["ringfence-core"]),
    ("ringfence-wasm", &["ringfence-core"]),
    ("xtask", &[]),
];

/// Crates that only tests may use, as a dev-dependency.
pub(crate) const TESTS_ONLY: &[&str] = &["ringfence-testkit"];
