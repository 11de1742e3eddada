//! Messages, mail and those who send them.

use super::{Check, Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    // api.slack.com, "Token types".
    token("slack-token", "Slack bot, user or legacy token", &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-"], r"xox[bparso]-[0-9A-Za-z-]{20,}").check(Check::Entropy(25)),
    token("slack-app-token", "Slack app-level token", &["xapp-"], r"xapp-[0-9]-[A-Z0-9]{9,12}-[0-9]{10,15}-[0-9a-f]{64}"),
    token("slack-cookie", "Slack session cookie or client token", &["xoxd-", "xoxc-"], r"xox[dc]-[0-9A-Za-z%/+=_-]{40,}"),
    token("slack-rotation-token", "Slack refresh or rotated token", &["xoxe-", "xoxe."], r"xoxe(?:\.xox[bp])?-[0-9]-[0-9A-Za-z-]{100,}"),
    token("slack-webhook", "Slack incoming webhook", &["hooks.slack.com/"], r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<v>[0-9A-Za-z+/]{43,80})"),
    token("discord-webhook", "Discord webhook", &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"], r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/(?P<v>[0-9A-Za-z_-]{60,80})"),
    named(
        "discord-token",
        "Discord bot token",
        &["discord", "bot_token", "authorization: bot"],
        r#"(?i:discord|bot_token|authorization: bot)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]?\s{0,5}["']?(?P<v>[MNO][0-9A-Za-z_-]{23,27}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,40})"#,
    )
    .certain(),
    named(
        "telegram-token",
        "Telegram bot token",
        &["telegram", "bot_token", "api.telegram.org/bot"],
        r#"(?i:telegram|bot_token|api\.telegram\.org/bot)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]?\s{0,5}["']?(?P<v>[0-9]{8,10}:A[0-9A-Za-z_-]{34})"#,
    )
    .certain(),
    token("teams-webhook", "Microsoft Teams webhook", &["webhook.office.com/webhookb2/"], r"webhook\.office\.com/webhookb2/(?P<v>[0-9a-f-]{36}@[0-9a-f-]{36}/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36})").anywhere(),
    token("twilio-key", "Twilio API key", &["SK0", "SK1", "SK2", "SK3", "SK4", "SK5", "SK6", "SK7", "SK8", "SK9", "SKa", "SKb", "SKc", "SKd", "SKe", "SKf"], r"SK[0-9a-f]{32}").likely().check(Check::Entropy(30)),
    named(
        "twilio-auth-token",
        "Twilio auth token",
        &["twilio"],
        r#"(?i:twilio)[0-9A-Za-z_. -]{0,20}["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9a-f]{32})"#,
    ),
    token("sendgrid-key", "SendGrid API key", &["SG."], r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}"),
    token("mailgun-key", "Mailgun key", &["key-", "pubkey-"], r"(?:pub)?key-[0-9a-f]{32}").check(Check::Entropy(30)),
    token("brevo-key", "Brevo (Sendinblue) key", &["xkeysib-", "xsmtpsib-"], r"x(?:key|smtp)sib-[0-9a-f]{64}-[0-9A-Za-z]{16}"),
    token("resend-key", "Resend API key", &["re_"], r"re_[0-9A-Za-z]{8}_[0-9A-Za-z]{24}"),
    token("mapbox-token", "Mapbox secret token", &["sk.eyJ1"], r"sk\.eyJ1[0-9A-Za-z_-]{60,200}\.[0-9A-Za-z_-]{22}"),
    token("postmark-token", "Postmark server token", &["X-Postmark-Server-Token"], r"X-Postmark-Server-Token: ?(?P<v>[0-9a-f-]{36})"),
    named(
        "zoom-secret",
        "Zoom or Webex secret behind its name",
        &["zoom_client_secret", "webex_access_token"],
        r#"(?i:zoom_client_secret|webex_access_token)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z_-]{32,120})"#,
    ),
];
