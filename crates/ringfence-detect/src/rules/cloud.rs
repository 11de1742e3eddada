//! Clouds, hosting, and what runs in them.

use super::{Check, Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    // docs.aws.amazon.com, IAM "Unique identifiers": AKIA long-lived, ASIA temporary, ABIA and ACCA for services.
    token("aws-key-id", "AWS access key id", &["AKIA", "ASIA", "ABIA", "ACCA"], r"A(?:KI|SI|BI|CC)A[A-Z2-7]{16}").check(Check::Entropy(28)),
    named(
        "aws-secret-key",
        "AWS secret access key",
        &["secret_access_key", "secretaccesskey", "secret_key", "aws_secret"],
        r#"(?i:secret_access_key|secretaccesskey|secret_key|aws_secret)["']?\s{0,5}[=:]>?\s{0,5}["']?(?P<v>[0-9A-Za-z/+]{40})"#,
    )
    .check(Check::Entropy(42)),
    named(
        "aws-session-token",
        "AWS session token",
        &["session_token", "sessiontoken", "security_token"],
        r#"(?i:session_?token|security_token)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>(?:FwoG|IQoJ|FQoG)[0-9A-Za-z/+=]{100,})"#,
    )
    .certain()
    .reach(2200),
    token("aws-bedrock-key", "Amazon Bedrock API key", &["ABSK"], r"ABSK[0-9A-Za-z+/]{109,}={0,2}"),
    token("aws-mws-token", "Amazon MWS token", &["amzn.mws."], r"amzn\.mws\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    // cloud.google.com, "API keys": 39 characters.
    token("google-api-key", "Google API key", &["AIza"], r"AIza[0-9A-Za-z_-]{35}").check(Check::Entropy(35)),
    token("google-oauth-token", "Google OAuth access token", &["ya29."], r"ya29\.[0-9A-Za-z_-]{20,}").reach(2200),
    token("google-refresh-token", "Google OAuth refresh token", &["1//0"], r"1//0[0-9A-Za-z_-]{60,150}"),
    token("google-oauth-secret", "Google OAuth client secret", &["GOCSPX-"], r"GOCSPX-[0-9A-Za-z_-]{28}"),
    token("google-hmac-key", "Google Cloud Storage HMAC key id", &["GOOG1E"], r"GOOG1E[A-Z0-9]{55}"),
    token("firebase-messaging-key", "Firebase messaging server key", &["AAAA"], r"AAAA[0-9A-Za-z_-]{7}:APA91b[0-9A-Za-z_-]{134}"),
    // learn.microsoft.com: keys with `AZ` and a signature at a fixed place.
    token("azure-storage-key", "Azure Storage account key", &["AccountKey="], r"AccountKey=(?P<v>[0-9A-Za-z+/]{86}==)").anywhere(),
    token("azure-shared-key", "Azure Service Bus, Event Hub or IoT key", &["SharedAccessKey="], r"SharedAccessKey=(?P<v>[0-9A-Za-z+/]{43}=)").anywhere(),
    token("azure-sas", "Azure shared access signature", &["sig="], r"sig=(?P<v>[0-9A-Za-z%]{43,63}%3[Dd])").check(Check::Entropy(40)),
    named(
        "azure-client-secret",
        "Microsoft Entra client secret",
        &["client_secret", "clientsecret", "azure_password"],
        r#"(?i:client_?secret|azure_password)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z_.~-]{3}[0-9]Q~[0-9A-Za-z_.~-]{31,34})"#,
    )
    .certain(),
    token("azure-devops-token", "Azure DevOps token", &["AZDO"], r"AZDO[0-9A-Za-z]{4,80}").likely().check(Check::Entropy(38)),
    named(
        "azure-search-key",
        "Azure Cognitive Services, Search or OpenAI key",
        &["ocp-apim-subscription-key", "azure_openai_api_key", "azure_search_key"],
        r#"(?i:ocp-apim-subscription-key|azure_openai_api_key|azure_search_key)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z]{32,88})"#,
    ),
    token("digitalocean-token", "DigitalOcean token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"do[por]_v1_[0-9a-f]{64}"),
    named(
        "digitalocean-spaces-key",
        "DigitalOcean Spaces secret key",
        &["spaces_secret", "spaces_secret_access_key"],
        r#"(?i:spaces_secret(?:_access_key)?)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z/+]{43})"#,
    ),
    named(
        "cloudflare-token",
        "Cloudflare API token or global key",
        &["cloudflare", "cf_api"],
        r#"(?i:cloudflare|cf_api)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z_-]{40}|[0-9a-f]{37})"#,
    )
    .check(Check::Entropy(33)),
    token("cloudflare-origin-key", "Cloudflare origin CA key", &["v1.0-"], r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    token("heroku-key", "Heroku API key", &["HRKU-"], r"HRKU-(?:AA[0-9A-Za-z_-]{58}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"),
    named(
        "heroku-named-key",
        "Heroku API key behind its name",
        &["heroku"],
        r#"(?i:heroku)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"#,
    ),
    token("fly-token", "Fly.io token", &["fm1r_", "fm2_", "fo1_"], r"(?:fm1r_|fm2_)[0-9A-Za-z+/]{100,}={0,2}|fo1_[0-9A-Za-z_-]{43}").reach(1600),
    token("render-key", "Render API key", &["rnd_"], r"rnd_[0-9A-Za-z]{32}"),
    named(
        "railway-token",
        "Railway token",
        &["railway"],
        r#"(?i:railway)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"#,
    ),
    token("alibaba-key-id", "Alibaba Cloud access key id", &["LTAI"], r"LTAI[0-9A-Za-z]{12,20}").check(Check::Entropy(33)),
    token("tencent-key-id", "Tencent Cloud secret id", &["AKID"], r"AKID[0-9A-Za-z]{32}").check(Check::Entropy(35)),
    token("yandex-key", "Yandex Cloud API key", &["AQVN"], r"AQVN[0-9A-Za-z_-]{35,38}").check(Check::Entropy(35)),
    token("yandex-token", "Yandex Cloud IAM token", &["t1."], r"t1\.[0-9A-Za-z_-]{7,200}\.[0-9A-Za-z_-]{86}={0,2}"),
    token("scaleway-key-id", "Scaleway access key id", &["SCW"], r"SCW[A-Z0-9]{17}").likely().check(Check::Entropy(33)),
    token("hashicorp-vault-token", "HashiCorp Vault token", &["hvs.", "hvb.", "hvr."], r"hv[sbr]\.[0-9A-Za-z_-]{24,}").check(Check::Entropy(35)),
    token("doppler-token", "Doppler token", &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."], r"dp\.(?:pt|ct|sa|scim|audit)\.[0-9A-Za-z]{40,44}|dp\.st\.(?:[0-9a-z_-]{2,35}\.)?[0-9A-Za-z]{40,44}"),
    token("infisical-token", "Infisical service token", &["st."], r"st\.[0-9a-f]{24}\.[0-9a-f]{32}\.[0-9a-f]{32}|st\.[0-9a-f-]{36}\.[0-9a-f]{32}\.[0-9a-f]{32}"),
    token("onepassword-service-token", "1Password service account token", &["ops_eyJ"], r"ops_eyJ[0-9A-Za-z+/_-]{250,}={0,3}").reach(1600),
    token("onepassword-secret-key", "1Password secret key", &["A3-"], r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}"),
    token("tailscale-key", "Tailscale key", &["tskey-"], r"tskey-(?:api|auth|client|webhook|scim)-[0-9A-Za-z]{8,24}-[0-9A-Za-z]{24,40}"),
    token("grafana-cloud-token", "Grafana Cloud token", &["glc_eyJ"], r"glc_eyJ[0-9A-Za-z+/]{32,}={0,3}"),
    token("grafana-service-token", "Grafana service account token", &["glsa_"], r"glsa_[0-9A-Za-z]{32}_[0-9A-Fa-f]{8}"),
    token("new-relic-key", "New Relic API key", &["NRAK-", "NRJS-", "NRII-"], r"NRAK-[A-Z0-9]{27}|NRJS-[0-9a-f]{19}|NRII-[0-9A-Za-z_-]{32}"),
    named(
        "datadog-key",
        "Datadog API or application key",
        &["datadog", "dd_api_key", "dd_app_key", "dd-api-key"],
        r#"(?i:datadog|dd[_-]ap[ip][_-]key)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9a-f]{40}|[0-9a-f]{32})"#,
    ),
    token("dynatrace-token", "Dynatrace token", &["dt0c01.", "dt0s16.", "dt0s01."], r"dt0[cs][0-9]{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}"),
    token("databricks-token", "Databricks token", &["dapi"], r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    token("supabase-key", "Supabase key", &["sbp_", "sb_secret_"], r"sbp_(?:v0_)?[0-9a-f]{40}|sb_secret_[0-9A-Za-z_-]{22}_[0-9A-Za-z_-]{8}"),
    token("planetscale-key", "PlanetScale password or token", &["pscale_pw_", "pscale_tkn_", "pscale_oauth_"], r"pscale_(?:pw|tkn|oauth)_[0-9A-Za-z_.=-]{32,64}"),
    token("neon-key", "Neon API key", &["napi_"], r"napi_[0-9a-z]{64}"),
    token("confluent-secret", "Confluent Cloud secret", &["cflt"], r"cflt[0-9A-Za-z+/]{60}"),
    token("aiven-token", "Aiven token", &["avns_", "AVNS_"], r"AVNS_[0-9A-Za-z_-]{19}|avns_[0-9A-Za-z_-]{19,40}"),
];
