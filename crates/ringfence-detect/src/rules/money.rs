//! Payments, shops and markets.

use super::{Check, Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    // docs.stripe.com/keys: secret and restricted, live and test.
    token("stripe-key", "Stripe secret or restricted key", &["sk_live_", "rk_live_", "sk_test_", "rk_test_", "sk_org_", "rk_org_"], r"[sr]k_(?:live|test|org)_[0-9A-Za-z_]{20,}").check(Check::Entropy(30)),
    token("stripe-webhook-secret", "Stripe webhook signing secret", &["whsec_"], r"whsec_[0-9A-Za-z+/]{32,64}={0,2}"),
    token("braintree-token", "Braintree access token", &["access_token$"], r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    token("square-token", "Square access token", &["EAAA", "sq0atp-"], r"EAAA[0-9A-Za-z_-]{60}|sq0atp-[0-9A-Za-z_-]{22}"),
    token("square-secret", "Square OAuth secret", &["sq0csp-"], r"sq0csp-[0-9A-Za-z_-]{43}"),
    token("shopify-token", "Shopify token or shared secret", &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"], r"shp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{32}"),
    token("plaid-token", "Plaid access token", &["access-"], r"access-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    token("adyen-key", "Adyen API key", &["AQE"], r"AQE[a-z][0-9A-Za-z+/=]{60,}-[0-9A-Za-z+/=]{40,50}-[0-9A-Za-z+/=!-~]{16}"),
    token("razorpay-key-id", "Razorpay key id", &["rzp_live_", "rzp_test_"], r"rzp_(?:live|test)_[0-9A-Za-z]{14}").likely(),
    token("flutterwave-key", "Flutterwave secret key", &["FLWSECK"], r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,40}-X"),
    token("gocardless-token", "GoCardless token", &["live_"], r"live_[0-9A-Za-z_-]{40}").likely().check(Check::Entropy(40)),
    token("coinbase-key-name", "Coinbase developer key", &["organizations/"], r"organizations/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/apiKeys/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").likely(),
    token("easypost-key", "EasyPost API key", &["EZAK", "EZTK"], r"EZ[AT]K[0-9A-Za-z]{54}"),
    token("shippo-token", "Shippo token", &["shippo_"], r"shippo_(?:live|test)_[0-9a-fA-F]{40}"),
    token("lob-key", "Lob API key", &["live_", "test_"], r"(?:live|test)_[0-9a-f]{35}").likely(),
    token("duffel-token", "Duffel token", &["duffel_"], r"duffel_(?:live|test)_[0-9A-Za-z_-]{43}"),
    named(
        "market-secret",
        "Alpaca, Kraken or Binance secret behind its name",
        &["apca_api_secret_key", "apca-api-secret-key", "binance_api_secret", "kraken_api_secret"],
        r#"(?i:apca[_-]api[_-]secret[_-]key|(?:binance|kraken)_api_secret)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z/+=]{40,90})"#,
    ),
];
