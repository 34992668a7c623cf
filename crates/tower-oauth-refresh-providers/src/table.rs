//! Written from `providers.json` by `cargo xtask providers`. Edit that file instead.

use tower_oauth_refresh::AnswerDialect;

use crate::preset::{BLANK, Class, ClientAuthMethod, Condition, Fact, Grace, Preset, Rotation, Rule, Source, TokenHeader};

/// The day as of which the facts hold.
pub const AS_OF: &str = "2026-11-21";

/// Every preset, in the order of the table.
pub static ALL: [Preset; 80] = [GOOGLE, ENTRA, GITHUB, GITLAB, SLACK, SALESFORCE, HUBSPOT, ATLASSIAN, ZOOM, DROPBOX, BOX, AUTH0, OKTA, KEYCLOAK, COGNITO, HYDRA, ZITADEL, AUTHENTIK, DEX, DOORKEEPER, SUPABASE_AUTH, SPOTIFY, TWITCH, DISCORD, X, LINKEDIN, REDDIT, STRAVA, XERO, INTUIT, SHOPIFY, STRIPE_APPS, PAYPAL, NOTION, ASANA, BITBUCKET, DOCUSIGN, ZENDESK, LINEAR, AIRTABLE, FITBIT, WHOOP, GARMIN, META, INSTAGRAM_THREADS, TIKTOK, EBAY, AMAZON_SPAPI, SAGE, GUSTO, RINGCENTRAL, EXACT_ONLINE, WITHINGS, ZOHO, CYBERSOURCE, WISE, ADOBE_SIGN, FIGMA, SENTRY, CLOVER, MAILCHIMP, PLENTYMARKETS, BASECAMP, OPENAI_CHATGPT, FISERV, SHOPLINE, AIRWALLEX, DATABRICKS, CONNECT2ID, CURITY, DJANGO_OAUTH_TOOLKIT, DUENDE, WORKDAY, NETSUITE, EPIC_GAMES, AGILOFT, REVOLUT, MONDAY, INTERCOM, MIRO];
const SOURCE_D1: Source = Source { title: "docs.slack.dev/authentication/using-token-rotation (excerpt)", confirmed: true };
const SOURCE_D10: Source = Source { title: "developer.xero.com/faq/oauth2 (excerpt); XeroAPI/xero-node#382; tessl mirror of Airbyte source-xero auth docs", confirmed: true };
const SOURCE_D12: Source = Source { title: "docs.devart.com dotConnect QuickBooks RefreshToken; airbytehq/airbyte#7296; intuit/oauth-jsclient#128 (response sample: content-length 25)", confirmed: true };
const SOURCE_D13: Source = Source { title: "shopify.dev/changelog 2025-12-10 and 2026-08-28 'More resilient refreshes'; shopify.dev offline-access-tokens (excerpts)", confirmed: true };
const SOURCE_D14: Source = Source { title: "support.zendesk.com; developer.zendesk.com refresh-token (excerpts)", confirmed: true };
const SOURCE_D15: Source = Source { title: "developer.box.com/guides/authentication/tokens/refresh; support.box.com", confirmed: true };
const SOURCE_D16: Source = Source { title: "developers.ringcentral.com/guide/authentication/refresh-tokens; tylerlong/ringcentral-token-refresh-experiment README", confirmed: true };
const SOURCE_D17: Source = Source { title: "dev.twitch.tv refresh-tokens, validate-tokens, revoke-tokens; hex.pm hello_twitch_api (sample bodies copied from Twitch docs)", confirmed: true };
const SOURCE_D18: Source = Source { title: "zoho.com/crm developer token-validity v2/v3/v6; zoho.com refresh pages; manageengine refresh page", confirmed: true };
const SOURCE_D19: Source = Source { title: "developers.zoom.us/docs/integrations/oauth-error-messages; anthropics/knowledge-work-plugins zoom token-lifecycle; passport-zoom-oauth2#6", confirmed: true };
const SOURCE_D20: Source = Source { title: "developers.notion.com/reference/refresh-a-token (excerpt with response schema)", confirmed: true };
const SOURCE_D21: Source = Source { title: "learn.microsoft.com/linkedin/shared/authentication/programmatic-refresh-tokens (excerpt)", confirmed: true };
const SOURCE_D23: Source = Source { title: "developers.tiktok.com oauth-refresh-a-user-access-token (updated 2026-11-02), oauth-user-access-token-management (2026-11-05 and older), obtain-access-token-for-apis, tiktok-api-v2-error-handling; developer.open-douyin.com refresh-access-token", confirmed: true };
const SOURCE_D24: Source = Source { title: "developer.whoop.com refresh-token-javascript / postman tutorials (excerpts)", confirmed: true };
const SOURCE_D25: Source = Source { title: "dev.fitbit.com refresh-token, best-practices, error-handling (excerpts)", confirmed: true };
const SOURCE_D26: Source = Source { title: "truto.one Sage guide 2026-04; chrisjohnleah/sage-business-cloud-accounting-api README; docs.unified.to sage-accounting-oauth-app (third parties)", confirmed: true };
const SOURCE_D27: Source = Source { title: "spatie/flysystem-dropbox#86 (401 sample); dropbox-sdk-java DbxRefreshResult; dropbox.tech offline access", confirmed: true };
const SOURCE_D28: Source = Source { title: "docs.gusto.com refresh-access-token reference, authentication pages (excerpts)", confirmed: true };
const SOURCE_D29: Source = Source { title: "developer.cybersource.com refreshing-the-refresh-token (excerpt)", confirmed: true };
const SOURCE_D3: Source = Source { title: "developer.okta.com/docs/guides/refresh-tokens/refresh-token-rotation (excerpt)", confirmed: true };
const SOURCE_D30: Source = Source { title: "developers.hubspot.com changelog 'New OAuth v3 API Endpoints and Standardized Error Responses', v1 migration guide, expiry changelog; nango.dev/blog/hubspot-oauth-bad-refresh-token", confirmed: true };
const SOURCE_D31: Source = Source { title: "gist droidMakk (Bitbucket token sample); bitbucket.org/site/master/issues/16249; docs.unified.to bitbucket skill", confirmed: true };
const SOURCE_D33: Source = Source { title: "public code: 'Value passed for the token was invalid' - several independent clients/tests of X", confirmed: true };
const SOURCE_D34: Source = Source { title: "release notes and code of Salesforce clients that meet this answer", confirmed: true };
const SOURCE_D35: Source = Source { title: "qiita.com/0503/questions (SP-API 403 body sample); developer-docs.amazon.com SP-API connect", confirmed: true };
const SOURCE_D36: Source = Source { title: "developer.withings.com access-and-refresh-tokens-no-recover (excerpt)", confirmed: true };
const SOURCE_D37: Source = Source { title: "docs.wise.com/guides/developer/auth-and-security/refresh-tokens (sample body)", confirmed: true };
const SOURCE_D38: Source = Source { title: "opensource.adobe.com/acrobat-sign/developer_guide/oauth (excerpt)", confirmed: true };
const SOURCE_D39: Source = Source { title: "docs.databricks.com single-use-tokens; airwallex.com troubleshooting-oauth-errors", confirmed: true };
const SOURCE_D4: Source = Source { title: "auth0.com/docs configure-refresh-token-rotation (excerpts, en+ja); api-evangelist auth0 schema (leeway default 0)", confirmed: true };
const SOURCE_D42: Source = Source { title: "Keycloak TokenManager, and public code that probes live servers", confirmed: true };
const SOURCE_D45: Source = Source { title: "connect2id.com/blog/connect2id-server-14-2; curity.io refresh-token-revocation reference", confirmed: true };
const SOURCE_D46: Source = Source { title: "jazzband/django-oauth-toolkit#702, django-oauth/django-oauth-toolkit#1617", confirmed: true };
const SOURCE_D5: Source = Source { title: "docs.aws.amazon.com cognito RefreshTokenRotationType API reference (excerpt)", confirmed: true };
const SOURCE_D51: Source = Source { title: "public code (vaultgate docs: HubSpot answers with the same RT)", confirmed: true };
const SOURCE_D6: Source = Source { title: "community.developer.atlassian.com/t/83103 (Atlassian staff post, excerpt)", confirmed: true };
const SOURCE_D7: Source = Source { title: "developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens (excerpt); nango.dev/blog/jira-oauth-refresh-token-invalid-grant (403)", confirmed: true };
const SOURCE_D9: Source = Source { title: "mrrefactoring.github.io/jira.js isReauthorizationRequired docs (excerpt)", confirmed: true };
const SOURCE_M: Source = Source { title: "general knowledge, not confirmed", confirmed: false };
const SOURCE_S1: Source = Source { title: "NangoHQ/nango packages/providers/providers.yaml @2f4c0af6 (2026-08-21)", confirmed: true };
const SOURCE_S10: Source = Source { title: "goauthentik/authentik authentik/providers/oauth2/views/token.py @005f3a9f", confirmed: true };
const SOURCE_S11: Source = Source { title: "openai/codex codex-rs/login auth manager: request_chatgpt_token_refresh, classify_refresh_token_failure", confirmed: true };
const SOURCE_S13: Source = Source { title: "dexidp/dex server/grants/refresh.go, server/tokens/refresh_lookup.go, examples/config-dev.yaml @ab64ed77 (2026-08-06)", confirmed: true };
const SOURCE_S14: Source = Source { title: "doorkeeper-gem/doorkeeper lib/doorkeeper/oauth/refresh_token_request.rb, orm/active_record/mixins/access_token.rb @d0cd44a7 (2026-08-22)", confirmed: true };
const SOURCE_S15: Source = Source { title: "supabase/auth internal/tokens/service.go, internal/api/apierrors/errorcode.go, example.env @bc32168e (2026-08-20)", confirmed: true };
const SOURCE_S18: Source = Source { title: "discord/discord-api-docs developers/topics/oauth2.mdx @c98d64bc (2026-08-06)", confirmed: true };
const SOURCE_S19: Source = Source { title: "python-social-auth/social-core social_core/backends/*.py @3bb06abd (2026-08-07)", confirmed: true };
const SOURCE_S2: Source = Source { title: "NangoHQ/nango packages/shared/lib/clients/provider.client.ts and services/connections/credentials/refresh.ts @2f4c0af6", confirmed: true };
const SOURCE_S20: Source = Source { title: "NangoHQ/nango docs/**.mdx (provider guides, 'API gotchas') @2f4c0af6", confirmed: true };
const SOURCE_S3: Source = Source { title: "golang/oauth2 internal/token.go, token.go @89ff2e1a (2026-01-12)", confirmed: true };
const SOURCE_S4: Source = Source { title: "requests/requests-oauthlib requests_oauthlib/compliance_fixes/*.py @f33dac32 (2025-06-18)", confirmed: true };
const SOURCE_S6: Source = Source { title: "github/docs content/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens.md @2e15944c", confirmed: true };
const SOURCE_S7: Source = Source { title: "MicrosoftDocs/entra-docs docs/identity-platform/refresh-tokens.md @1c46dd74 (ms.date 2025-05-14)", confirmed: true };
const SOURCE_S8: Source = Source { title: "gitlabhq/gitlabhq doc/api/oauth2.md @04b8ef13", confirmed: true };
const SOURCE_S9: Source = Source { title: "ory/docs docs/hydra/guides/graceful-token-refresh.mdx @14566745; ory/hydra fosite/handler/oauth2/flow_refresh.go, fosite/errors.go, .schema/config.schema.json @83127c57 (2026-07-24)", confirmed: true };
const SOURCE_U1: Source = Source { title: "https://developers.hubspot.com/changelog/v1-oauth-api-deprecation", confirmed: true };
const SOURCE_U11: Source = Source { title: "https://developer.box.com/reference/post-oauth2-revoke", confirmed: true };
const SOURCE_U12: Source = Source { title: "https://docs.aws.amazon.com/cognito/latest/developerguide/revocation-endpoint.html", confirmed: true };
const SOURCE_U13: Source = Source { title: "https://github.com/googleapis/google-auth-library-java/pull/979", confirmed: true };
const SOURCE_U14: Source = Source { title: "https://docs.slack.dev/reference/methods/oauth.v2.access", confirmed: true };
const SOURCE_U15: Source = Source { title: "https://ringcentral.github.io/RingCentral.Net/html/classRingCentral_1_1Paths_1_1Restapi_1_1Oauth_1_1Revoke_1_1Index.html", confirmed: true };
const SOURCE_U2: Source = Source { title: "https://developers.hubspot.com/docs/api-reference/latest/authentication/oauth-tokens/revoke-token", confirmed: true };
const SOURCE_U3: Source = Source { title: "https://developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html", confirmed: true };
const SOURCE_U4: Source = Source { title: "https://help.salesforce.com/apex/HTViewHelpDoc?id=remoteaccess_oauth_refresh_token_flow.htm&language=en_US", confirmed: true };
const SOURCE_U5: Source = Source { title: "https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/orgas/revoke", confirmed: true };
const SOURCE_U6: Source = Source { title: "https://auth0.com/docs/secure/tokens/refresh-tokens/revoke-refresh-tokens; https://auth0.github.io/node-auth0/interfaces/auth.RevokeRefreshTokenRequest.html", confirmed: true };
const SOURCE_U7: Source = Source { title: "https://forge.libre.sh/libre.sh/keycloak-scim/commit/d3e18744a887fba97be85fad3d03c751bfdee89f (Keycloak's documentation)", confirmed: true };
const SOURCE_U9: Source = Source { title: "https://github.com/dreeveapp/dreeve/issues/1449 (exact body)", confirmed: true };
/// Google (accounts/oauth2.googleapis.com).
pub const GOOGLE: Preset = Preset {
    id: "google", name: "Google (accounts/oauth2.googleapis.com)", issuer: Some("https://oauth2.googleapis.com"), token_endpoint: Some(Fact { value: "https://oauth2.googleapis.com/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://oauth2.googleapis.com/revoke", source: SOURCE_U13 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S3 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3599, source: SOURCE_M }), ..BLANK };
/// Microsoft Entra ID (v2).
pub const ENTRA: Preset = Preset {
    id: "entra", name: "Microsoft Entra ID (v2)", token_endpoint: Some(Fact { value: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post, ClientAuthMethod::Basic, ClientAuthMethod::Assertion], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S7 }), grace: Some(Fact { value: Grace::UntilExpiry, source: SOURCE_S7 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// GitHub Apps (expiring user tokens).
pub const GITHUB: Preset = Preset {
    id: "github", name: "GitHub Apps (expiring user tokens)", issuer: Some("https://github.com"), token_endpoint: Some(Fact { value: "https://github.com/login/oauth/access_token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S6 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S6 }), grace: Some(Fact { value: Grace::Undocumented, source: SOURCE_S6 }), access_token_seconds: Some(Fact { value: 28800, source: SOURCE_S6 }), gaps: &["a login is revoked by an API of its own (`DELETE /applications/{client_id}/token`), not by RFC 7009", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// GitLab.
pub const GITLAB: Preset = Preset {
    id: "gitlab", name: "GitLab", issuer: Some("https://gitlab.com"), token_endpoint: Some(Fact { value: "https://gitlab.com/oauth/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://gitlab.com/oauth/revoke", source: SOURCE_S8 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S8 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S8 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 7200, source: SOURCE_S8 }), ..BLANK };
/// Slack (token rotation on).
pub const SLACK: Preset = Preset {
    id: "slack", name: "Slack (token rotation on)", issuer: Some("https://slack.com"), token_endpoint: Some(Fact { value: "https://slack.com/api/oauth.v2.access", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic, ClientAuthMethod::Post], source: SOURCE_U14 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D1 }), access_token_seconds: Some(Fact { value: 43200, source: SOURCE_D1 }), gaps: &["the user token set nested under authed_user is not read", "an expired token is a 200, whose body is not looked into", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Salesforce.
pub const SALESFORCE: Preset = Preset {
    id: "salesforce", name: "Salesforce", token_endpoint: Some(Fact { value: "https://{domain}/services/oauth2/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://{domain}/services/oauth2/revoke", source: SOURCE_U3 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post, ClientAuthMethod::Basic, ClientAuthMethod::Assertion], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_U4 }), grace: Some(Fact { value: Grace::Undocumented, source: SOURCE_M }), rules: &[
        Rule { class: Class::InDoubt, status: Some(400), when: &[("error", Condition::Is("invalid_grant")), ("error_description", Condition::Contains("already being processed"))], source: SOURCE_D34 },
        Rule { class: Class::InDoubt, status: Some(400), when: &[("error", Condition::Is("invalid_grant")), ("error_description", Condition::Contains("expired authorization code"))], source: SOURCE_D34 },
    ], gaps: &["without a lifetime in the answer only a challenge shows that the token expired", "`instance_url` in the token answer, where the API is, is not kept"], ..BLANK };
/// HubSpot.
pub const HUBSPOT: Preset = Preset {
    id: "hubspot", name: "HubSpot", issuer: Some("https://api.hubapi.com"), token_endpoint: Some(Fact { value: "https://api.hubapi.com/oauth/2026-03/token", source: SOURCE_U1 }), revocation: Some(Fact { value: "https://api.hubapi.com/oauth/2026-03/token/revoke", source: SOURCE_U2 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D30 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_D51 }), access_token_seconds: Some(Fact { value: 1800, source: SOURCE_D30 }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("status", Condition::Is("BAD_REFRESH_TOKEN"))], source: SOURCE_D30 },
    ], ..BLANK };
/// Atlassian 3LO (Jira, Confluence).
pub const ATLASSIAN: Preset = Preset {
    id: "atlassian", name: "Atlassian 3LO (Jira, Confluence)", issuer: Some("https://auth.atlassian.com"), token_endpoint: Some(Fact { value: "https://auth.atlassian.com/oauth/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D7 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D7 }), grace: Some(Fact { value: Grace::Seconds(600), source: SOURCE_D6 }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D9 }), rules: &[
        Rule { class: Class::Configuration, status: None, when: &[("error", Condition::Is("access_denied"))], source: SOURCE_D9 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Zoom.
pub const ZOOM: Preset = Preset {
    id: "zoom", name: "Zoom", issuer: Some("https://zoom.us"), token_endpoint: Some(Fact { value: "https://zoom.us/oauth/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://zoom.us/oauth/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S19 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D19 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D19 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Dropbox.
pub const DROPBOX: Preset = Preset {
    id: "dropbox", name: "Dropbox", issuer: Some("https://api.dropboxapi.com"), token_endpoint: Some(Fact { value: "https://api.dropboxapi.com/oauth2/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post, ClientAuthMethod::Basic], source: SOURCE_S3 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_D27 }), access_token_seconds: Some(Fact { value: 14400, source: SOURCE_D27 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Box.
pub const BOX: Preset = Preset {
    id: "box", name: "Box", issuer: Some("https://api.box.com"), token_endpoint: Some(Fact { value: "https://api.box.com/oauth2/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://api.box.com/oauth2/revoke", source: SOURCE_U11 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_U11 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D15 }), grace: Some(Fact { value: Grace::Undocumented, source: SOURCE_D15 }), ..BLANK };
/// Auth0.
pub const AUTH0: Preset = Preset {
    id: "auth0", name: "Auth0", token_endpoint: Some(Fact { value: "https://{tenant}.auth0.com/oauth/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://{tenant}.auth0.com/oauth/revoke", source: SOURCE_U6 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post, ClientAuthMethod::Assertion], source: SOURCE_U6 }), rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D4 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_D4 }), access_token_seconds: Some(Fact { value: 86400, source: SOURCE_M }), ..BLANK };
/// Okta.
pub const OKTA: Preset = Preset {
    id: "okta", name: "Okta", token_endpoint: Some(Fact { value: "https://{org}.okta.com/oauth2/v1/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://{org}.okta.com/oauth2/v1/revoke", source: SOURCE_U5 }), rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D3 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_D3 }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), ..BLANK };
/// Keycloak.
pub const KEYCLOAK: Preset = Preset {
    id: "keycloak", name: "Keycloak", token_endpoint: Some(Fact { value: "/realms/{r}/protocol/openid-connect/token", source: SOURCE_M }), revocation: Some(Fact { value: "/realms/{r}/protocol/openid-connect/revoke", source: SOURCE_U7 }), rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D42 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_D42 }), access_token_seconds: Some(Fact { value: 300, source: SOURCE_M }), ..BLANK };
/// Amazon Cognito.
pub const COGNITO: Preset = Preset {
    id: "cognito", name: "Amazon Cognito", token_endpoint: Some(Fact { value: "https://{domain}/oauth2/token", source: SOURCE_M }), revocation: Some(Fact { value: "https://{domain}/oauth2/revoke", source: SOURCE_U12 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic, ClientAuthMethod::None], source: SOURCE_U12 }), rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D5 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_D5 }), ..BLANK };
/// Ory Hydra / fosite.
pub const HYDRA: Preset = Preset {
    id: "hydra", name: "Ory Hydra / fosite", token_endpoint: Some(Fact { value: "/oauth2/token", source: SOURCE_M }), revocation: Some(Fact { value: "/oauth2/revoke", source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S9 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_S9 }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), rules: &[
        Rule { class: Class::InDoubt, status: Some(400), when: &[("error", Condition::Is("invalid_request")), ("error_description", Condition::Contains("retry the request"))], source: SOURCE_S9 },
        Rule { class: Class::InDoubt, status: Some(400), when: &[("error", Condition::Is("invalid_request")), ("error_hint", Condition::Contains("retry the request"))], source: SOURCE_S9 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// ZITADEL.
pub const ZITADEL: Preset = Preset {
    id: "zitadel", name: "ZITADEL", revocation: Some(Fact { value: "/oauth/v2/revoke", source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// authentik.
pub const AUTHENTIK: Preset = Preset {
    id: "authentik", name: "authentik", revocation: Some(Fact { value: "/application/o/revoke/", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic, ClientAuthMethod::Post], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Sometimes, source: SOURCE_S10 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_S10 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Dex.
pub const DEX: Preset = Preset {
    id: "dex", name: "Dex", rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_S13 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_S13 }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("error", Condition::Is("invalid_request")), ("error_description", Condition::Contains("Refresh token expired"))], source: SOURCE_S13 },
        Rule { class: Class::Dead, status: Some(400), when: &[("error", Condition::Is("invalid_request")), ("error_description", Condition::Contains("Refresh token is invalid or has already been claimed"))], source: SOURCE_S13 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Doorkeeper (library under many Rails providers).
pub const DOORKEEPER: Preset = Preset {
    id: "doorkeeper", name: "Doorkeeper (library under many Rails providers)", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S14 }), grace: Some(Fact { value: Grace::UntilUsed, source: SOURCE_S14 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Supabase Auth (GoTrue).
pub const SUPABASE_AUTH: Preset = Preset {
    id: "supabase_auth", name: "Supabase Auth (GoTrue)", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S15 }), grace: Some(Fact { value: Grace::UntilUsed, source: SOURCE_S15 }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("error_code", Condition::Is("refresh_token_already_used"))], source: SOURCE_S15 },
        Rule { class: Class::Dead, status: Some(400), when: &[("error_code", Condition::Is("refresh_token_not_found"))], source: SOURCE_S15 },
        Rule { class: Class::Dead, status: Some(400), when: &[("error_code", Condition::Is("session_expired"))], source: SOURCE_S15 },
        Rule { class: Class::Dead, status: Some(400), when: &[("code", Condition::Is("refresh_token_already_used"))], source: SOURCE_S15 },
        Rule { class: Class::Dead, status: Some(400), when: &[("code", Condition::Is("refresh_token_not_found"))], source: SOURCE_S15 },
        Rule { class: Class::Dead, status: Some(400), when: &[("code", Condition::Is("session_expired"))], source: SOURCE_S15 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Spotify.
pub const SPOTIFY: Preset = Preset {
    id: "spotify", name: "Spotify", issuer: Some("https://accounts.spotify.com"), token_endpoint: Some(Fact { value: "https://accounts.spotify.com/api/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic, ClientAuthMethod::None], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Sometimes, source: SOURCE_M }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Twitch.
pub const TWITCH: Preset = Preset {
    id: "twitch", name: "Twitch", issuer: Some("https://id.twitch.tv"), token_endpoint: Some(Fact { value: "https://id.twitch.tv/oauth2/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://id.twitch.tv/oauth2/revoke", source: SOURCE_D17 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D17 }), rotation: Some(Fact { value: Rotation::Sometimes, source: SOURCE_D17 }), access_token_seconds: Some(Fact { value: 14400, source: SOURCE_M }), refresh_ahead: Some(Fact { value: false, source: SOURCE_D17 }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("message", Condition::Is("Invalid refresh token"))], source: SOURCE_D17 },
    ], ..BLANK };
/// Discord.
pub const DISCORD: Preset = Preset {
    id: "discord", name: "Discord", issuer: Some("https://discord.com"), token_endpoint: Some(Fact { value: "https://discord.com/api/oauth2/token", source: SOURCE_S18 }), revocation: Some(Fact { value: "https://discord.com/api/oauth2/token/revoke", source: SOURCE_S18 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S18 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 604800, source: SOURCE_S18 }), ..BLANK };
/// X (Twitter) OAuth 2.
pub const X: Preset = Preset {
    id: "x", name: "X (Twitter) OAuth 2", issuer: Some("https://api.twitter.com"), token_endpoint: Some(Fact { value: "https://api.twitter.com/2/oauth2/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://api.twitter.com/2/oauth2/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 7200, source: SOURCE_M }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("error", Condition::Is("invalid_request")), ("error_description", Condition::Contains("token was invalid"))], source: SOURCE_D33 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// LinkedIn.
pub const LINKEDIN: Preset = Preset {
    id: "linkedin", name: "LinkedIn", issuer: Some("https://www.linkedin.com"), token_endpoint: Some(Fact { value: "https://www.linkedin.com/oauth/v2/accessToken", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://www.linkedin.com/oauth/v2/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 5184000, source: SOURCE_D21 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Reddit.
pub const REDDIT: Preset = Preset {
    id: "reddit", name: "Reddit", issuer: Some("https://www.reddit.com"), token_endpoint: Some(Fact { value: "https://www.reddit.com/api/v1/access_token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://www.reddit.com/api/v1/revoke_token", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S3 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Strava.
pub const STRAVA: Preset = Preset {
    id: "strava", name: "Strava", issuer: Some("https://www.strava.com"), token_endpoint: Some(Fact { value: "https://www.strava.com/api/v3/oauth/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Sometimes, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 21600, source: SOURCE_M }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("errors.0.code", Condition::Is("invalid")), ("errors.0.field", Condition::Is("refresh_token")), ("errors.0.resource", Condition::Is("RefreshToken"))], source: SOURCE_U9 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Xero.
pub const XERO: Preset = Preset {
    id: "xero", name: "Xero", issuer: Some("https://identity.xero.com"), token_endpoint: Some(Fact { value: "https://identity.xero.com/connect/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://identity.xero.com/connect/revocation", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_D10 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D10 }), grace: Some(Fact { value: Grace::Seconds(1800), source: SOURCE_D10 }), access_token_seconds: Some(Fact { value: 1800, source: SOURCE_D10 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Intuit QuickBooks Online.
pub const INTUIT: Preset = Preset {
    id: "intuit", name: "Intuit QuickBooks Online", issuer: Some("https://oauth.platform.intuit.com"), token_endpoint: Some(Fact { value: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://developer.api.intuit.com/v2/oauth2/tokens/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Sometimes, source: SOURCE_D12 }), grace: Some(Fact { value: Grace::UntilUsed, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Shopify (expiring offline tokens).
pub const SHOPIFY: Preset = Preset {
    id: "shopify", name: "Shopify (expiring offline tokens)", token_endpoint: Some(Fact { value: "https://{shop}.myshopify.com/admin/oauth/access_token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D13 }), grace: Some(Fact { value: Grace::UntilUsed, source: SOURCE_D13 }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D13 }), token_header: Some(Fact { value: TokenHeader { name: "X-Shopify-Access-Token", scheme: None }, source: SOURCE_S1 }), gaps: &["move the token into X-Shopify-Access-Token below the layer", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Stripe Apps OAuth.
pub const STRIPE_APPS: Preset = Preset {
    id: "stripe_apps", name: "Stripe Apps OAuth", issuer: Some("https://api.stripe.com"), token_endpoint: Some(Fact { value: "https://api.stripe.com/v1/oauth/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S2 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S2 }), gaps: &["the secret key is the user name of Basic, with no password: ClientAuth::basic(key, \"\")", "the answer does not say how long its token lives: only a challenge shows that it expired", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// PayPal.
pub const PAYPAL: Preset = Preset {
    id: "paypal", name: "PayPal", issuer: Some("https://api.paypal.com"), token_endpoint: Some(Fact { value: "https://api.paypal.com/v1/oauth2/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Notion.
pub const NOTION: Preset = Preset {
    id: "notion", name: "Notion", issuer: Some("https://api.notion.com"), token_endpoint: Some(Fact { value: "https://api.notion.com/v1/oauth/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://api.notion.com/v1/oauth/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D20 }), gaps: &["wants a JSON body; a form is sent", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Asana.
pub const ASANA: Preset = Preset {
    id: "asana", name: "Asana", issuer: Some("https://app.asana.com"), token_endpoint: Some(Fact { value: "https://app.asana.com/-/oauth_token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://app.asana.com/-/oauth_revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Bitbucket Cloud.
pub const BITBUCKET: Preset = Preset {
    id: "bitbucket", name: "Bitbucket Cloud", issuer: Some("https://bitbucket.org"), token_endpoint: Some(Fact { value: "https://bitbucket.org/site/oauth2/access_token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_D31 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 7200, source: SOURCE_D31 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// DocuSign.
pub const DOCUSIGN: Preset = Preset {
    id: "docusign", name: "DocuSign", issuer: Some("https://account.docusign.com"), token_endpoint: Some(Fact { value: "https://account.docusign.com/oauth/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 28800, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Zendesk.
pub const ZENDESK: Preset = Preset {
    id: "zendesk", name: "Zendesk", token_endpoint: Some(Fact { value: "https://{sub}.zendesk.com/oauth/tokens", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D14 }), grace: Some(Fact { value: Grace::Undocumented, source: SOURCE_D14 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Linear.
pub const LINEAR: Preset = Preset {
    id: "linear", name: "Linear", issuer: Some("https://api.linear.app"), token_endpoint: Some(Fact { value: "https://api.linear.app/oauth/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://api.linear.app/oauth/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post, ClientAuthMethod::Basic], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), grace: Some(Fact { value: Grace::Seconds(1800), source: SOURCE_M }), access_token_seconds: Some(Fact { value: 86400, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Airtable.
pub const AIRTABLE: Preset = Preset {
    id: "airtable", name: "Airtable", issuer: Some("https://airtable.com"), token_endpoint: Some(Fact { value: "https://airtable.com/oauth2/v1/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), grace: Some(Fact { value: Grace::Undocumented, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Fitbit Web API (legacy; being replaced by Google Health).
pub const FITBIT: Preset = Preset {
    id: "fitbit", name: "Fitbit Web API (legacy; being replaced by Google Health)", issuer: Some("https://api.fitbit.com"), token_endpoint: Some(Fact { value: "https://api.fitbit.com/oauth2/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://api.fitbit.com/oauth2/revoke", source: SOURCE_M }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic, ClientAuthMethod::None], source: SOURCE_D25 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D25 }), grace: Some(Fact { value: Grace::Seconds(120), source: SOURCE_M }), access_token_seconds: Some(Fact { value: 28800, source: SOURCE_D25 }), rules: &[
        Rule { class: Class::Dead, status: Some(400), when: &[("errors.0.errorType", Condition::Is("invalid_grant"))], source: SOURCE_S4 },
    ], gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// WHOOP.
pub const WHOOP: Preset = Preset {
    id: "whoop", name: "WHOOP", issuer: Some("https://api.prod.whoop.com"), token_endpoint: Some(Fact { value: "https://api.prod.whoop.com/oauth/oauth2/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D24 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D24 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_M }), parameters: Some(Fact { value: &[("scope", "offline")], source: SOURCE_D24 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Garmin Connect (OAuth2 PKCE).
pub const GARMIN: Preset = Preset {
    id: "garmin", name: "Garmin Connect (OAuth2 PKCE)", client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 86400, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Meta / Facebook Graph.
pub const META: Preset = Preset {
    id: "meta", name: "Meta / Facebook Graph", issuer: Some("https://graph.facebook.com"), token_endpoint: Some(Fact { value: "https://graph.facebook.com/v22.0/oauth/access_token", source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::NoRefreshToken, source: SOURCE_S2 }), gaps: &["there is no refresh token: the access token itself is exchanged"], ..BLANK };
/// Instagram / Threads.
pub const INSTAGRAM_THREADS: Preset = Preset {
    id: "instagram_threads", name: "Instagram / Threads", rotation: Some(Fact { value: Rotation::NoRefreshToken, source: SOURCE_S2 }), gaps: &["there is no refresh token: the access token itself is exchanged"], ..BLANK };
/// TikTok for Developers.
pub const TIKTOK: Preset = Preset {
    id: "tiktok", name: "TikTok for Developers", issuer: Some("https://open.tiktokapis.com"), token_endpoint: Some(Fact { value: "https://open.tiktokapis.com/v2/oauth/token/", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://open.tiktokapis.com/v2/oauth/revoke/", source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D23 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_D23 }), access_token_seconds: Some(Fact { value: 7200, source: SOURCE_D23 }), gaps: &["wants client_key beside client_id: give it as a parameter", "the nested answers of the business API are not read", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// eBay.
pub const EBAY: Preset = Preset {
    id: "ebay", name: "eBay", issuer: Some("https://api.ebay.com"), token_endpoint: Some(Fact { value: "https://api.ebay.com/identity/v1/oauth2/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 7200, source: SOURCE_M }), answer: Some(Fact { value: AnswerDialect::new().bearer_types(&["User Access Token", "Application Access Token"]), source: SOURCE_S4 }), gaps: &["the answer to a login is not read this way: build its TokenSet by hand", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Amazon Login / Selling Partner API.
pub const AMAZON_SPAPI: Preset = Preset {
    id: "amazon_spapi", name: "Amazon Login / Selling Partner API", issuer: Some("https://api.amazon.com"), token_endpoint: Some(Fact { value: "https://api.amazon.com/auth/o2/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D35 }), token_header: Some(Fact { value: TokenHeader { name: "x-amz-access-token", scheme: None }, source: SOURCE_S1 }), challenge_statuses: Some(Fact { value: &[401, 403], source: SOURCE_D35 }), gaps: &["move the token into x-amz-access-token below the layer", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Sage Accounting.
pub const SAGE: Preset = Preset {
    id: "sage", name: "Sage Accounting", issuer: Some("https://oauth.accounting.sage.com"), token_endpoint: Some(Fact { value: "https://oauth.accounting.sage.com/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_M }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D26 }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 300, source: SOURCE_D26 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Gusto.
pub const GUSTO: Preset = Preset {
    id: "gusto", name: "Gusto", issuer: Some("https://api.gusto.com"), token_endpoint: Some(Fact { value: "https://api.gusto.com/oauth/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D28 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D28 }), grace: Some(Fact { value: Grace::UntilUsed, source: SOURCE_D28 }), access_token_seconds: Some(Fact { value: 7200, source: SOURCE_D28 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// RingCentral.
pub const RINGCENTRAL: Preset = Preset {
    id: "ringcentral", name: "RingCentral", issuer: Some("https://platform.ringcentral.com"), token_endpoint: Some(Fact { value: "https://platform.ringcentral.com/restapi/oauth/token", source: SOURCE_S1 }), revocation: Some(Fact { value: "https://platform.ringcentral.com/restapi/oauth/revoke", source: SOURCE_U15 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D16 }), grace: Some(Fact { value: Grace::Seconds(3600), source: SOURCE_D16 }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D16 }), ..BLANK };
/// Exact Online.
pub const EXACT_ONLINE: Preset = Preset {
    id: "exact_online", name: "Exact Online", token_endpoint: Some(Fact { value: "https://start.exactonline.{tld}/api/oauth2/token", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), grace: Some(Fact { value: Grace::Nothing, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 600, source: SOURCE_M }), refresh_ahead: Some(Fact { value: false, source: SOURCE_S20 }), gaps: &["refuses a refresh before the last 30 s of a token; ours starts 30 s before the end", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Withings.
pub const WITHINGS: Preset = Preset {
    id: "withings", name: "Withings", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D36 }), grace: Some(Fact { value: Grace::UntilUsed, source: SOURCE_D36 }), access_token_seconds: Some(Fact { value: 10800, source: SOURCE_D36 }), gaps: &["the answer is nested under body", "an expired token is a 200, whose body is not looked into", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Zoho.
pub const ZOHO: Preset = Preset {
    id: "zoho", name: "Zoho", token_endpoint: Some(Fact { value: "https://accounts.zoho.{tld}/oauth/v2/token", source: SOURCE_D18 }), revocation: Some(Fact { value: "https://accounts.zoho.{tld}/oauth/v2/token/revoke", source: SOURCE_D18 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D18 }), token_header: Some(Fact { value: TokenHeader { name: "Authorization", scheme: Some("Zoho-oauthtoken") }, source: SOURCE_D18 }), rules: &[
        Rule { class: Class::Dead, status: None, when: &[("error", Condition::Is("invalid_code"))], source: SOURCE_D18 },
        Rule { class: Class::Transient, status: None, when: &[("error", Condition::Is("Access Denied"))], source: SOURCE_D18 },
    ], gaps: &["wants its parameters in the query; a form is sent", "write the scheme Zoho-oauthtoken below the layer"], ..BLANK };
/// CyberSource.
pub const CYBERSOURCE: Preset = Preset {
    id: "cybersource", name: "CyberSource", client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D29 }), access_token_seconds: Some(Fact { value: 900, source: SOURCE_D29 }), gaps: &["a dead token cannot be told from an outage", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Wise.
pub const WISE: Preset = Preset {
    id: "wise", name: "Wise", client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_D37 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 43200, source: SOURCE_D37 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Adobe Acrobat Sign.
pub const ADOBE_SIGN: Preset = Preset {
    id: "adobe_sign", name: "Adobe Acrobat Sign", client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_D38 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_D38 }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_D38 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Figma.
pub const FIGMA: Preset = Preset {
    id: "figma", name: "Figma", issuer: Some("https://api.figma.com"), token_endpoint: Some(Fact { value: "https://api.figma.com/v1/oauth/refresh", source: SOURCE_S1 }), client_auth: Some(Fact { value: &[ClientAuthMethod::Post], source: SOURCE_S2 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_S2 }), access_token_seconds: Some(Fact { value: 7776000, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Sentry.
pub const SENTRY: Preset = Preset {
    id: "sentry", name: "Sentry", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S2 }), answer: Some(Fact { value: AnswerDialect::new().names(&[("refreshToken", "refresh_token"), ("token", "access_token")]), source: SOURCE_S2 }), gaps: &["wants a JSON body; a form is sent", "the absolute time of expiry is not read: only a challenge shows that the token expired", "the answer to a login is not read this way: build its TokenSet by hand", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Clover.
pub const CLOVER: Preset = Preset {
    id: "clover", name: "Clover", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), gaps: &["wants a JSON body; a form is sent", "the answer has an absolute time", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Mailchimp.
pub const MAILCHIMP: Preset = Preset {
    id: "mailchimp", name: "Mailchimp", rotation: Some(Fact { value: Rotation::NoRefreshToken, source: SOURCE_S4 }), gaps: &["there is no refresh token"], ..BLANK };
/// Plentymarkets.
pub const PLENTYMARKETS: Preset = Preset {
    id: "plentymarkets", name: "Plentymarkets", answer: Some(Fact { value: AnswerDialect::new().names(&[("accessToken", "access_token"), ("expiresIn", "expires_in"), ("refreshToken", "refresh_token"), ("tokenType", "token_type")]), source: SOURCE_S4 }), gaps: &["the answer to a login is not read this way: build its TokenSet by hand", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Basecamp (37signals Launchpad).
pub const BASECAMP: Preset = Preset {
    id: "basecamp", name: "Basecamp (37signals Launchpad)", issuer: Some("https://launchpad.37signals.com"), token_endpoint: Some(Fact { value: "https://launchpad.37signals.com/authorization/token", source: SOURCE_S1 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 1209600, source: SOURCE_M }), parameters: Some(Fact { value: &[("type", "refresh")], source: SOURCE_S1 }), gaps: &["the grant type is sent beside type=refresh", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// OpenAI ChatGPT login (Codex CLI).
pub const OPENAI_CHATGPT: Preset = Preset {
    id: "openai_chatgpt", name: "OpenAI ChatGPT login (Codex CLI)", client_auth: Some(Fact { value: &[ClientAuthMethod::None], source: SOURCE_S11 }), rotation: Some(Fact { value: Rotation::Always, source: SOURCE_S11 }), gaps: &["wants a JSON body; a form is sent", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Fiserv.
pub const FISERV: Preset = Preset {
    id: "fiserv", name: "Fiserv", client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), answer: Some(Fact { value: AnswerDialect::new().lifetimes_in_milliseconds(), source: SOURCE_S1 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// SHOPLINE.
pub const SHOPLINE: Preset = Preset {
    id: "shopline", name: "SHOPLINE", gaps: &["signed requests, no refresh token", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Airwallex.
pub const AIRWALLEX: Preset = Preset {
    id: "airwallex", name: "Airwallex", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D39 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Databricks U2M.
pub const DATABRICKS: Preset = Preset {
    id: "databricks", name: "Databricks U2M", rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D39 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Connect2id server.
pub const CONNECT2ID: Preset = Preset {
    id: "connect2id", name: "Connect2id server", rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D45 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_D45 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Curity Identity Server.
pub const CURITY: Preset = Preset {
    id: "curity", name: "Curity Identity Server", rotation: Some(Fact { value: Rotation::Optional, source: SOURCE_D45 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_D45 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// django-oauth-toolkit.
pub const DJANGO_OAUTH_TOOLKIT: Preset = Preset {
    id: "django_oauth_toolkit", name: "django-oauth-toolkit", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_D46 }), grace: Some(Fact { value: Grace::Configurable, source: SOURCE_D46 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Duende IdentityServer.
pub const DUENDE: Preset = Preset {
    id: "duende", name: "Duende IdentityServer", gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Workday.
pub const WORKDAY: Preset = Preset {
    id: "workday", name: "Workday", rotation: Some(Fact { value: Rotation::Never, source: SOURCE_S20 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Oracle NetSuite.
pub const NETSUITE: Preset = Preset {
    id: "netsuite", name: "Oracle NetSuite", rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Epic Games.
pub const EPIC_GAMES: Preset = Preset {
    id: "epic_games", name: "Epic Games", client_auth: Some(Fact { value: &[ClientAuthMethod::Basic], source: SOURCE_S1 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Agiloft.
pub const AGILOFT: Preset = Preset {
    id: "agiloft", name: "Agiloft", gaps: &["wants a digest of the secret", "logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// Revolut Business.
pub const REVOLUT: Preset = Preset {
    id: "revolut", name: "Revolut Business", client_auth: Some(Fact { value: &[ClientAuthMethod::Assertion], source: SOURCE_S2 }), rotation: Some(Fact { value: Rotation::Never, source: SOURCE_M }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
/// monday.com.
pub const MONDAY: Preset = Preset {
    id: "monday", name: "monday.com", rotation: Some(Fact { value: Rotation::NoRefreshToken, source: SOURCE_S20 }), gaps: &["there is no refresh token"], ..BLANK };
/// Intercom.
pub const INTERCOM: Preset = Preset {
    id: "intercom", name: "Intercom", rotation: Some(Fact { value: Rotation::NoRefreshToken, source: SOURCE_S20 }), gaps: &["there is no refresh token"], ..BLANK };
/// Miro.
pub const MIRO: Preset = Preset {
    id: "miro", name: "Miro", rotation: Some(Fact { value: Rotation::Always, source: SOURCE_M }), access_token_seconds: Some(Fact { value: 3600, source: SOURCE_S20 }), gaps: &["logout does not revoke: no confirmed endpoint of RFC 7009"], ..BLANK };
