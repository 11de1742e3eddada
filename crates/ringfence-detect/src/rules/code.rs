//! Where code is kept, built and published.

use super::{Check, Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    // docs.github.com, "Token expiration and revocation": six kinds by their first letters; the last six letters are
    // a checksum (github.blog, 2021-04-05).
    token(
        "github-token",
        "GitHub token (personal, OAuth, user, refresh)",
        &["ghp_", "gho_", "ghu_", "ghr_"],
        r"gh[pour]_[0-9A-Za-z]{36,}",
    )
    .check(Check::Crc62),
    token(
        "github-app-token",
        "GitHub token of an app's installation",
        &["ghs_"],
        r"ghs_[0-9A-Za-z]{36,}",
    )
    .check(Check::Crc62),
    token(
        "github-fine-grained-token",
        "GitHub personal token, fine-grained",
        &["github_pat_"],
        r"github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}",
    ),
    // docs.gitlab.com, "Token overview": the prefix says the kind; newer ones have a routed part behind dots.
    token(
        "gitlab-token",
        "GitLab personal, group or project token",
        &["glpat-"],
        r"glpat-[0-9A-Za-z_-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?",
    ),
    token(
        "gitlab-runner-token",
        "GitLab runner token",
        &["glrt-", "glrtr-"],
        r"glrtr?-(?:t[0-9]_)?[0-9A-Za-z_-]{20,}",
    ),
    token(
        "gitlab-trigger-token",
        "GitLab pipeline trigger token",
        &["glptt-"],
        r"glptt-[0-9a-zA-Z_-]{20,64}",
    ),
    token("gitlab-deploy-token", "GitLab deploy token", &["gldt-"], r"gldt-[0-9A-Za-z_-]{20,64}"),
    token(
        "gitlab-job-token",
        "GitLab CI job token",
        &["glcbt-"],
        r"glcbt-(?:[0-9a-zA-Z]{1,5}_)?[0-9A-Za-z_-]{20,64}",
    ),
    token(
        "gitlab-oauth-secret",
        "GitLab OAuth application secret",
        &["gloas-"],
        r"gloas-[0-9a-zA-Z_-]{64}",
    ),
    token("gitlab-feed-token", "GitLab feed token", &["glft-"], r"glft-[0-9A-Za-z_-]{20,64}"),
    token(
        "gitlab-agent-token",
        "GitLab token of an agent for Kubernetes",
        &["glagent-"],
        r"glagent-[0-9A-Za-z_-]{50,}",
    ),
    token(
        "gitlab-mail-token",
        "GitLab incoming mail token",
        &["glimt-"],
        r"glimt-[0-9A-Za-z_-]{25}",
    ),
    token("gitlab-scim-token", "GitLab SCIM token", &["glsoat-"], r"glsoat-[0-9A-Za-z_-]{20,64}"),
    // support.atlassian.com, "Using access tokens"; both are followed by a checksum of eight hexadecimal digits.
    token(
        "bitbucket-app-password",
        "Bitbucket app password",
        &["ATBB"],
        r"ATBB[0-9A-Za-z]{28}[0-9A-F]{4,8}",
    ),
    token(
        "bitbucket-token",
        "Bitbucket access token of a repository",
        &["ATCTT3xFfG"],
        r"ATCTT3xFfG[0-9A-Za-z_=-]{60,}=[0-9A-F]{8}",
    ),
    token(
        "atlassian-token",
        "Atlassian API token",
        &["ATATT3"],
        r"ATATT3[0-9A-Za-z_=-]{60,}=[0-9A-F]{8}",
    ),
    // github.blog, 2021-09-23: npm's have the checksum of GitHub's.
    token("npm-token", "npm access token", &["npm_"], r"npm_[0-9A-Za-z]{36}").check(Check::Crc62),
    named(
        "npm-password",
        "npm login in `.npmrc`",
        &["_authToken", "_password", "_auth"],
        r"_(?:authToken|password|auth)\s{0,3}=\s{0,3}(?P<v>[0-9A-Za-z_/+=-]{20,200})",
    ),
    // A macaroon in base64, whose first bytes say the version and the place.
    token(
        "pypi-token",
        "PyPI API token",
        &["pypi-AgE"],
        r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)[0-9A-Za-z_-]{50,}",
    )
    .reach(1200),
    token("crates-io-token", "crates.io API token", &["cio"], r"cio[0-9A-Za-z]{32}")
        .check(Check::Entropy(35)),
    token("rubygems-key", "RubyGems API key", &["rubygems_"], r"rubygems_[0-9a-f]{48}"),
    token("nuget-key", "NuGet API key", &["oy2"], r"oy2[a-z0-9]{43}").check(Check::Entropy(35)),
    token(
        "docker-token",
        "Docker Hub access token",
        &["dckr_pat_", "dckr_oat_"],
        r"dckr_[po]at_[0-9A-Za-z_-]{27,64}",
    ),
    token("jfrog-key", "JFrog Artifactory API key", &["AKCp"], r"AKCp[0-9A-Za-z]{69}"),
    token("jfrog-reference", "JFrog reference token", &["cmVmdGtu"], r"cmVmdGtu[0-9A-Za-z]{56}"),
    token("clojars-token", "Clojars deploy token", &["CLOJARS_"], r"CLOJARS_[0-9a-f]{60}"),
    token(
        "sourcegraph-token",
        "Sourcegraph access token",
        &["sgp_"],
        r"sgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}",
    ),
    token("sonar-token", "SonarQube token", &["squ_", "sqp_", "sqa_"], r"sq[upa]_[0-9a-f]{40}"),
    token(
        "buildkite-agent-token",
        "Buildkite agent token",
        &["bkct_"],
        r"bkct_[0-9A-Za-z_-]{60,100}",
    ),
    token("buildkite-token", "Buildkite API token", &["bkua_"], r"bkua_[0-9a-f]{40}"),
    token(
        "circleci-token",
        "CircleCI token",
        &["CCIPAT_", "CCIPRJ_"],
        r"CCIP(?:AT|RJ)_[0-9A-Za-z]{22}_[0-9a-f]{40}",
    ),
    token(
        "terraform-cloud-token",
        "Terraform Cloud token",
        &[".atlasv1."],
        r"\.atlasv1\.[0-9A-Za-z_=-]{60,70}",
    )
    .anywhere(),
    token("pulumi-token", "Pulumi access token", &["pul-"], r"pul-[0-9a-f]{40}"),
    token(
        "vercel-token",
        "Vercel token",
        &["vcp_", "vci_", "vca_", "vcr_", "vck_"],
        r"vc[piark]_[0-9A-Za-z]{24,60}",
    ),
    token(
        "netlify-token",
        "Netlify access token",
        &["nfp_", "nfc_", "nfo_"],
        r"nf[pco]_[0-9A-Za-z]{36,40}",
    ),
    token("postman-key", "Postman API key", &["PMAK-"], r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    token("readme-key", "ReadMe API key", &["rdme_"], r"rdme_[0-9a-z]{70}"),
    token(
        "launchdarkly-key",
        "LaunchDarkly SDK or API key",
        &["sdk-", "api-", "mob-"],
        r"(?:sdk|api|mob)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    )
    .likely(),
    token(
        "url-login",
        "A login in the address of a repository",
        &["https://", "http://"],
        r"https?://[0-9A-Za-z._%+-]{1,100}:(?P<v>[0-9A-Za-z._%+~!*-]{8,200})@[0-9A-Za-z.-]{1,200}",
    )
    .check(Check::Password)
    .likely()
    .needs(b'@'),
];
