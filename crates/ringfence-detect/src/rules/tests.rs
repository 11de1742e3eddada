//! Each rule with something that it finds and something that it does not.
//!
//! Samples are made when the test runs, so that nobody who looks for credentials finds any here: `{A36}` are 36 letters
//! and digits, `{h8}` digits to the base 16, `{crc}` the checksum of what stands before it.

#![expect(clippy::string_slice, reason = "samples are ASCII")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::*;
use crate::Detectors;
use crate::checks::base62;
use crate::secrets::{Secrets, compile};
use ringfence_core::{Finding, FindingKind};

/// A rule, something that it finds, and something that it does not find; where that is empty, the sample with its
/// longest random part too short.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("github-token", "ghp_{A30}{crc}", "ghp_{A20}"),
    ("github-app-token", "ghs_{A30}{crc}", ""),
    ("github-fine-grained-token", "github_pat_{A22}_{A59}", ""),
    ("gitlab-token", "glpat-{w20}", ""),
    ("gitlab-runner-token", "glrt-{A20}", ""),
    ("gitlab-trigger-token", "glptt-{h40}", "glptt-{h19}"),
    ("gitlab-deploy-token", "gldt-{A20}", ""),
    ("gitlab-job-token", "glcbt-64_{A20}", "glcbt-{A12}"),
    ("gitlab-oauth-secret", "gloas-{h64}", ""),
    ("gitlab-feed-token", "glft-{A20}", ""),
    ("gitlab-agent-token", "glagent-{A50}", ""),
    ("gitlab-mail-token", "glimt-{A25}", ""),
    ("gitlab-scim-token", "glsoat-{A20}", ""),
    ("bitbucket-app-password", "ATBB{A28}{H8}", ""),
    ("bitbucket-token", "ATCTT3xFfG{w180}={H8}", "ATCTT3xFfG{w180}"),
    ("atlassian-token", "ATATT3{w180}={H8}", "ATATT3{w180}"),
    ("npm-token", "npm_{A30}{crc}", "npm_{A35}"),
    ("npm-password", "//packages.example/:_authToken={A36}", "_authToken=${NPM_TOKEN}"),
    ("pypi-token", "pypi-AgEIcHlwaS5vcmc{w100}", "pypi-AgEIcHlwaS5vcmc{w30}"),
    ("crates-io-token", "cio{A32}", ""),
    ("rubygems-key", "rubygems_{h48}", ""),
    ("nuget-key", "oy2{l43}", ""),
    ("docker-token", "dckr_pat_{A27}", ""),
    ("jfrog-key", "AKCp{A69}", ""),
    ("jfrog-reference", "cmVmdGtu{A56}", ""),
    ("clojars-token", "CLOJARS_{h60}", ""),
    ("sourcegraph-token", "sgp_{h40}", ""),
    ("sonar-token", "squ_{h40}", ""),
    ("buildkite-agent-token", "bkct_{A60}", ""),
    ("buildkite-token", "bkua_{h40}", ""),
    ("circleci-token", "CCIPAT_{A22}_{h40}", ""),
    ("terraform-cloud-token", "{A14}.atlasv1.{A67}", ""),
    ("pulumi-token", "pul-{h40}", ""),
    ("vercel-token", "vcp_{A32}", "vcp_{A12}"),
    ("netlify-token", "nfp_{A36}", ""),
    ("postman-key", "PMAK-{h24}-{h34}", ""),
    ("readme-key", "rdme_{l70}", ""),
    ("launchdarkly-key", "sdk-{h8}-{h4}-4{h3}-a{h3}-{h12}", ""),
    (
        "url-login",
        "https://builder:{A20}@git.example.com/x.git",
        "https://builder:$TOKEN_OF_IT@git.example.com/x.git",
    ),
    ("aws-key-id", "AKIA{216}", ""),
    ("aws-secret-key", "aws_secret_access_key = {b40}", ""),
    ("aws-session-token", "AWS_SESSION_TOKEN=IQoJ{b100}", ""),
    ("aws-bedrock-key", "ABSK{A109}", ""),
    ("aws-mws-token", "amzn.mws.{uuid}", "amzn.mws.{h8}-{h4}"),
    ("google-api-key", "AIza{A35}", ""),
    ("google-oauth-token", "ya29.{A60}", "ya29.{A15}"),
    ("google-refresh-token", "1//0{A97}", "1//0{A30}"),
    ("google-oauth-secret", "GOCSPX-{A28}", ""),
    ("google-hmac-key", "GOOG1E{u55}", ""),
    ("firebase-messaging-key", "AAAA{A7}:APA91b{A134}", ""),
    ("azure-storage-key", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={b86}==", ""),
    ("azure-shared-key", "Endpoint=sb://a/;SharedAccessKey={b43}=", ""),
    ("azure-sas", "https://a.blob.core.windows.net/c?sv=2024&sig={A43}%3D", ""),
    ("azure-client-secret", "client_secret: {A3}8Q~{A34}", ""),
    ("azure-devops-token", "AZDO{A80}", "AZDO{A2}"),
    ("azure-search-key", "AZURE_OPENAI_API_KEY={h32}", ""),
    ("digitalocean-token", "dop_v1_{h64}", ""),
    ("digitalocean-spaces-key", "SPACES_SECRET={b43}", ""),
    ("cloudflare-token", "CLOUDFLARE_API_TOKEN={A40}", ""),
    ("cloudflare-origin-key", "v1.0-{h24}-{h146}", ""),
    ("heroku-key", "HRKU-{uuid}", "HRKU-{h8}-{h4}"),
    ("heroku-named-key", "HEROKU_API_KEY={uuid}", "HEROKU_API_KEY={h8}"),
    ("fly-token", "fo1_{A43}", ""),
    ("render-key", "rnd_{A32}", ""),
    ("railway-token", "RAILWAY_TOKEN={h8}-{h4}-4{h3}-b{h3}-{h12}", ""),
    ("alibaba-key-id", "LTAI{A20}", "LTAI{A8}"),
    ("tencent-key-id", "AKID{A32}", ""),
    ("yandex-key", "AQVN{A35}", ""),
    ("yandex-token", "t1.{A60}.{A86}", ""),
    ("scaleway-key-id", "SCW{u17}", ""),
    ("hashicorp-vault-token", "hvs.{A90}", "hvs.{A12}"),
    ("doppler-token", "dp.pt.{A43}", ""),
    ("infisical-token", "st.{h24}.{h32}.{h32}", ""),
    ("onepassword-service-token", "ops_eyJ{A300}", "ops_eyJ{A100}"),
    ("onepassword-secret-key", "A3-{u6}-{u11}-{u5}-{u5}-{u5}", ""),
    ("tailscale-key", "tskey-auth-{A12}-{A32}", ""),
    ("grafana-cloud-token", "glc_eyJ{A80}", "glc_eyJ{A20}"),
    ("grafana-service-token", "glsa_{A32}_{h8}", ""),
    ("new-relic-key", "NRAK-{u27}", ""),
    ("datadog-key", "DD_API_KEY={h32}", ""),
    ("dynatrace-token", "dt0c01.{u24}.{u64}", ""),
    ("databricks-token", "dapi{h32}", ""),
    ("supabase-key", "sbp_{h40}", ""),
    ("planetscale-key", "pscale_pw_{A43}", "pscale_pw_{A20}"),
    ("neon-key", "napi_{l64}", ""),
    ("confluent-secret", "cflt{A60}", ""),
    ("aiven-token", "AVNS_{A19}", ""),
    ("anthropic-key", "sk-ant-api03-{A95}", "sk-ant-api03-{A40}"),
    ("openai-key", "sk-proj-{A74}T3BlbkFJ{A74}", "sk-proj-{A74}"),
    ("openrouter-key", "sk-or-v1-{h64}", ""),
    ("deepseek-key", "sk-{h32}", ""),
    ("huggingface-token", "hf_{A34}", ""),
    ("replicate-token", "r8_{A37}", ""),
    ("groq-key", "gsk_{A52}", ""),
    ("perplexity-key", "pplx-{A48}", ""),
    ("xai-key", "xai-{A80}", ""),
    ("fireworks-key", "fw_{A24}", "fw_{A12}"),
    ("nvidia-key", "nvapi-{A64}", "nvapi-{A30}"),
    ("langsmith-key", "lsv2_pt_{h32}_{h10}", ""),
    ("langfuse-key", "sk-lf-{uuid}", "sk-lf-{h8}-{h4}"),
    ("tavily-key", "tvly-{A32}", ""),
    ("voyage-key", "pa-{A43}", ""),
    ("elevenlabs-key", "sk_{h48}", ""),
    ("pinecone-key", "pcsk_{A6}_{A63}", ""),
    ("e2b-key", "e2b_{h40}", ""),
    ("cohere-key", "COHERE_API_KEY={A40}", "COHERE_API_KEY={A20}"),
    ("wandb-key", "WANDB_API_KEY={h40}", ""),
    ("slack-token", "xoxb-{d12}-{d12}-{A24}", "xoxb-{d8}"),
    ("slack-app-token", "xapp-1-A{u9}-{d13}-{h64}", ""),
    ("slack-cookie", "xoxd-{A60}", "xoxd-{A20}"),
    ("slack-rotation-token", "xoxe-1-{A146}", "xoxe-1-{A50}"),
    ("slack-webhook", "https://hooks.slack.com/services/T{u10}/B{u10}/{A24}", ""),
    (
        "discord-webhook",
        "https://discord.com/api/webhooks/{d18}/{A68}",
        "https://discord.com/api/webhooks/{d18}/{A20}",
    ),
    ("discord-token", "DISCORD_TOKEN=M{A23}.{A6}.{A38}", "DISCORD_TOKEN=M{A23}.{A6}"),
    ("telegram-token", "https://api.telegram.org/bot{d10}:A{A34}/getMe", ""),
    (
        "teams-webhook",
        "https://a.webhook.office.com/webhookb2/{uuid}@{uuid}/IncomingWebhook/{h32}/{uuid}",
        "",
    ),
    ("twilio-key", "SK{h32}", ""),
    ("twilio-auth-token", "TWILIO_AUTH_TOKEN={h32}", ""),
    ("sendgrid-key", "SG.{A22}.{A43}", ""),
    ("mailgun-key", "key-{h32}", ""),
    ("brevo-key", "xkeysib-{h64}-{A16}", ""),
    ("resend-key", "re_{A8}_{A24}", ""),
    ("mapbox-token", "sk.eyJ1{A80}.{A22}", "sk.eyJ1{A80}.{A12}"),
    ("postmark-token", "X-Postmark-Server-Token: {uuid}", "X-Postmark-Server-Token: {h8}"),
    ("zoom-secret", "ZOOM_CLIENT_SECRET={A32}", ""),
    ("stripe-key", "sk_live_{A24}", "sk_live_{A12}"),
    ("stripe-webhook-secret", "whsec_{A32}", ""),
    ("braintree-token", "access_token$production${l16}${h32}", ""),
    ("square-token", "EAAA{A60}", ""),
    ("square-secret", "sq0csp-{A43}", ""),
    ("shopify-token", "shpat_{h32}", ""),
    ("plaid-token", "access-production-{uuid}", "access-production-{h8}"),
    ("adyen-key", "AQEy{A80}-{A44}-{A16}", "AQEy{A80}-{A44}"),
    ("razorpay-key-id", "rzp_live_{A14}", ""),
    ("flutterwave-key", "FLWSECK-{A32}-X", "FLWSECK-{A32}"),
    ("gocardless-token", "live_{A40}", ""),
    ("coinbase-key-name", "organizations/{uuid}/apiKeys/{uuid}", "organizations/{uuid}/apiKeys/"),
    ("easypost-key", "EZAK{A54}", ""),
    ("shippo-token", "shippo_live_{h40}", ""),
    ("lob-key", "live_{h35}", ""),
    ("duffel-token", "duffel_live_{A43}", ""),
    ("market-secret", "BINANCE_API_SECRET={A64}", "BINANCE_API_SECRET={A30}"),
    ("notion-token", "ntn_{d11}{A35}", ""),
    ("linear-key", "lin_api_{A40}", ""),
    ("airtable-token", "pat{A14}.{h64}", ""),
    ("figma-token", "figd_{A40}", ""),
    ("clickup-token", "pk_{d8}_{u32}", ""),
    ("hubspot-token", "pat-na1-{uuid}", "pat-na1-{h8}"),
    ("intercom-token", "dG9rO{A54}=", ""),
    ("sentry-token", "sntryu_{h64}", ""),
    ("posthog-key", "phx_{A43}", "phx_{A20}"),
    ("algolia-key", "ALGOLIA_ADMIN_KEY={h32}", ""),
    ("contentful-token", "CFPAT-{A43}", ""),
    ("prefect-key", "pnu_{A36}", ""),
    ("typeform-token", "tfp_{A44}", "tfp_{A20}"),
    ("frameio-token", "fio-u-{A64}", ""),
    ("dropbox-token", "sl.B{A130}", "sl.B{A60}"),
    ("meta-token", "EAAG{A160}", "EAAG{A60}"),
    ("twitter-bearer", "AAAAAAAAAAAAAAAAAAAAA{A80}", "AAAAAAAAAAAAAAAAAAAAA{A30}"),
    ("okta-token", "Authorization: SSWS 00{A40}", ""),
    ("okta-named-token", "OKTA_API_TOKEN=00{A40}", ""),
    ("adobe-secret", "p8e-{A32}", ""),
    ("clerk-key", "clerk_{A40}", "clerk_{A20}"),
    ("auth0-secret", "AUTH0_CLIENT_SECRET={A64}", ""),
    ("svix-secret", "testsk_{A32}", "testsk_{A20}"),
    ("shodan-key", "SHODAN_API_KEY={A32}", ""),
    ("firecrawl-key", "fc-{h32}", ""),
    ("apify-token", "apify_api_{A36}", ""),
    ("browserbase-key", "bb_live_{A27}", ""),
    ("convex-deploy-key", "prod:quick-otter-123|{A64}", "prod:quick-otter-123|{A20}"),
    ("trello-token", "ATTA{h60}{H8}", ""),
    ("honeycomb-key", "hcaik_{l58}", ""),
    ("polar-token", "polar_oat_{A43}", "polar_oat_{A20}"),
    (
        "private-key",
        "-----BEGIN RSA PRIVATE KEY-----\n{b64}\n{b64}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\n{b64}\n-----END CERTIFICATE-----",
    ),
    (
        "putty-key",
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n{b48}",
        "PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 1\n{b48}",
    ),
    ("age-key", "AGE-SECRET-KEY-1{B58}", ""),
    ("minisign-key", "RWRTY0I{A205}", ""),
    ("nostr-key", "nsec1{c58}", ""),
    ("bitcoin-extended-key", "xprv9{58105}", ""),
    ("wireguard-key", "PrivateKey = {A42}E=", ""),
    (
        "jwk-private",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"{A43}\"",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{A43}\"",
    ),
    ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJ{A40}.{A43}", "eyJmb28iOiJiYXIiLCJh.eyJ{A40}.{A43}"),
    ("kubernetes-bootstrap-token", "kubeadm join 10.0.0.1:6443 --token {l6}.{l16}", ""),
    ("ansible-vault", "$ANSIBLE_VAULT;1.1;AES256\n{h80}\n{h80}", "$ANSIBLE_VAULT;1.1;AES256\n"),
    ("unix-password-hash", "root:$6${A16}${A86}:19000:0", "root:$6${A16}:19000"),
    (
        "database-url",
        "postgres://app:{A20}@db.example.com:5432/app",
        "postgres://app:${PASSWORD_OF_DB}@db/app",
    ),
    ("jdbc-password", "Server=db;User Id=app;Password={A14};", "Server=db;Password=$PW;"),
    ("generic-password", "password = \"{A14}\"", "password = \"your_password\""),
    ("generic-key", "api_key: \"{A32}\"", "api_key: \"none\""),
    ("bearer-token", "Authorization: Bearer {A40}", "Authorization: Bearer none"),
    ("basic-auth", "Authorization: Basic {A24}==", "Authorization: Basic none"),
    (
        "curl-login",
        "curl -s -u admin:{A14} https://a.example",
        "curl -s -u admin:$PASSWORD https://a.example",
    ),
    (
        "netrc-login",
        "machine api.example.com login me password {A12}",
        "machine api.example.com login me",
    ),
    (
        "docker-config-auth",
        "{\"auths\":{\"https://r.example\":{\"auth\": \"{A32}==\"}}}",
        "{\"auth\": \"none\"}",
    ),
    ("git-credentials-helper", "host=a\nusername=me\npassword={A14}", "host=a\nusername=me\n"),
    ("set-cookie-session", "Set-Cookie: sessionid={A32}; Path=/", "Set-Cookie: theme=dark; Path=/"),
    ("hex-secret-64", "ENCRYPTION_KEY={h64}", ""),
];

/// A sample without any holes; `shorter` makes its longest random part too short.
pub(crate) fn made(sample: &str, shorter: bool) -> String {
    let holes: Vec<(char, usize)> = parts(sample).into_iter().filter_map(Result::ok).collect();
    let longest = holes.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let mut text = String::new();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut cut = shorter;
    for part in parts(sample) {
        match part {
            Err(words) => text.push_str(words),
            Ok(('!', _)) => {
                let body = text.rsplit_once('_').unwrap().1.to_owned();
                text.push_str(&base62(crc32fast::hash(body.as_bytes())));
            }
            Ok((alphabet, count)) => {
                let short = cut && count == longest;
                cut &= !short;
                let count = if short { count * 3 / 5 } else { count };
                for _ in 0..count {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    let letters = letters(alphabet);
                    text.push(char::from(
                        letters[usize::try_from(seed % letters.len() as u64).unwrap()],
                    ));
                }
            }
        }
    }
    text
}

fn letters(alphabet: char) -> &'static [u8] {
    match alphabet {
        'A' => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        'w' => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_",
        'b' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        'h' => b"0123456789abcdef",
        'H' => b"0123456789ABCDEF",
        'u' => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        'l' => b"0123456789abcdefghijklmnopqrstuvwxyz",
        'd' => b"0123456789",
        '2' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        'B' => b"023456789ACDEFGHJKLMNPQRSTUVWXYZ",
        'c' => b"023456789acdefghjklmnpqrstuvwxyz",
        '5' => b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        other => panic!("no alphabet {other}"),
    }
}

/// Words, and holes by their alphabet and length.
fn parts(sample: &str) -> Vec<Result<(char, usize), &str>> {
    let mut all = Vec::new();
    let mut rest = sample;
    while let Some(at) = rest.find('{') {
        let hole = rest[at + 1..].split('}').next().unwrap();
        let (alphabet, count) = match hole {
            "uuid" => {
                all.push(Err(&rest[..at]));
                for (number, count) in [8, 4, 4, 4, 12].into_iter().enumerate() {
                    if number > 0 {
                        all.push(Err("-"));
                    }
                    all.push(Ok(('h', count)));
                }
                rest = &rest[at + 6..];
                continue;
            }
            "crc" => ('!', 0),
            _ if hole.len() > 5 || !hole.ends_with(|last: char| last.is_ascii_digit()) => {
                all.push(Err(&rest[..=at]));
                rest = &rest[at + 1..];
                continue;
            }
            _ if hole.starts_with("58") => ('5', hole[2..].parse().unwrap()),
            _ => (hole.chars().next().unwrap(), hole[1..].parse().unwrap()),
        };
        all.push(Err(&rest[..at]));
        all.push(Ok((alphabet, count)));
        rest = &rest[at + hole.len() + 2..];
    }
    all.push(Err(rest));
    all
}

fn found(text: &str) -> Vec<Finding> {
    Detectors::shared().look(text).into_iter().filter(|it| it.kind == FindingKind::Secret).collect()
}

static SECRETS: LazyLock<Secrets> = LazyLock::new(Secrets::new);

/// What one rule alone finds.
fn found_by(id: &str, text: &str) -> Option<Finding> {
    let mut all = Vec::new();
    SECRETS.look(text, &mut all);
    all.into_iter().find(|one| one.rule == id)
}

#[test]
fn every_pattern_compiles_and_every_id_is_used_once() {
    let mut seen = BTreeSet::new();
    for rule in all() {
        compile(rule).unwrap_or_else(|error| panic!("{}: {error}", rule.id));
        assert!(!rule.words.is_empty() && !rule.what.is_empty(), "{}", rule.id);
        assert!(rule.words.iter().all(|word| word.len() >= crate::words::GRAM), "{}", rule.id);
        assert!(seen.insert(rule.id), "{} twice", rule.id);
        assert!(
            rule.id.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
        );
    }
    assert!(seen.len() >= 100, "{}", seen.len());
}

#[test]
fn every_rule_has_a_sample() {
    let samples: Vec<&str> = SAMPLES.iter().map(|(id, ..)| *id).collect();
    for rule in all() {
        assert!(samples.contains(&rule.id), "{} has no sample", rule.id);
    }
    assert_eq!(samples.len(), all().count());
}

#[test]
fn every_rule_finds_its_sample_alone_and_within_text() {
    let mut wrong = Vec::new();
    for (id, sample, _) in SAMPLES {
        let sample = made(sample, false);
        for text in [sample.clone(), format!("see \"{sample}\" there"), format!("a\n{sample}\nb")] {
            if found_by(id, &text).is_none() {
                wrong.push(format!("{id}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_rule_finds_what_is_nearly_its_sample() {
    let mut wrong = Vec::new();
    for (id, sample, miss) in SAMPLES {
        let miss = if miss.is_empty() { made(sample, true) } else { made(miss, false) };
        if found_by(id, &miss).is_some() {
            wrong.push(format!("{id}: {miss}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_token_within_a_word_is_none() {
    let rules: BTreeMap<&str, &Rule> = all().map(|rule| (rule.id, rule)).collect();
    for (id, sample, _) in SAMPLES {
        if rules[id].before == Before::Boundary
            && rules[id].words.iter().any(|word| sample.starts_with(word))
        {
            let text = format!("x{}", made(sample, false));
            assert!(found_by(id, &text).is_none(), "{id}: {text}");
        }
    }
}

#[test]
fn a_checksum_that_does_not_hold_makes_a_token_likely_only() {
    let real = made("ghp_{A30}{crc}", false);
    let certainty = |text: &str| found(text).first().map(|one| one.certainty);
    assert_eq!(certainty(&real), Some(Certainty::Certain));
    assert_eq!(certainty(&made("ghp_{A36}", false)), Some(Certainty::Likely));
    assert_eq!(certainty(&format!("ghp_{}", "a".repeat(36))), None, "no entropy at all");
}

#[test]
fn the_place_of_a_credential_is_its_own() {
    let secret = made("{A20}", false);
    let text = format!("DB=postgres://app:{secret}@db.example.com/app");
    let one = found(&text).into_iter().find(|one| one.rule == "database-url").unwrap();
    assert_eq!(&text[one.at], secret);
}

#[test]
fn a_key_in_pem_is_found_whole_however_its_lines_end() {
    for newline in ["\n", "\r\n", "\\n", "\n    ", "\n> "] {
        let body = made("{b64}", false);
        let key = [
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            &body,
            &body,
            "-----END OPENSSH PRIVATE KEY-----",
        ]
        .join(newline);
        let text = format!("before {key} behind");
        let one = found(&text).into_iter().find(|one| one.rule == "private-key").unwrap();
        assert_eq!(&text[one.at], key, "{newline:?}");
    }
    let torn =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n{}", made("{b64}", false), made("{b20}", false));
    let text = format!("{torn}\n\n[the rest is elsewhere]");
    let one = found(&text).into_iter().next().unwrap();
    assert!(text[one.at].starts_with(&torn));
}

#[test]
fn a_credential_in_base64_is_found_wherever_it_begins() {
    use base64::Engine as _;
    let token = made("ghp_{A30}{crc}", false);
    for before in ["", ":", "a=", "user:", "{\"token\":\""] {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{before}{token}\n"));
        let text = format!("data:\n  password: {text}\n");
        let one = found(&text).into_iter().find(|one| one.rule == "github-token");
        assert!(one.is_some_and(|one| one.certainty == Certainty::Certain), "{before} {text}");
    }
    let nothing =
        base64::engine::general_purpose::STANDARD.encode("ghp_ is how they begin, and no more");
    assert!(found(&nothing).is_empty());
}

#[test]
fn escapes_before_a_token_are_no_part_of_a_word() {
    let token = made("ghp_{A30}{crc}", false);
    for text in [format!("\\n{token}\\n"), format!("token%3D{token}"), format!("a={token}&b")] {
        assert!(found(&text).iter().any(|one| one.certainty == Certainty::Certain), "{text}");
    }
}
