//! Two ways to log in, both by the `oauth2` crate, which knows nothing of what becomes of its answer.

mod browser;
mod device;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, DeviceAuthorizationUrl, EndpointNotSet, EndpointSet, Scope, TokenUrl, url::ParseError,
};

pub(crate) use self::browser::in_browser;
pub(crate) use self::device::with_device_code;
use crate::settings::Provider;

type OAuthClient = BasicClient<EndpointSet, EndpointSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

fn oauth_client(provider: &Provider) -> Result<OAuthClient, ParseError> {
    let device = DeviceAuthorizationUrl::new(provider.device_authorization_endpoint.clone())?;
    Ok(BasicClient::new(ClientId::new(provider.client_id.clone()))
        .set_auth_uri(AuthUrl::new(provider.authorization_endpoint.clone())?)
        .set_token_uri(TokenUrl::new(provider.token_endpoint.clone())?)
        .set_device_authorization_url(device))
}

fn scopes(provider: &Provider) -> impl Iterator<Item = Scope> {
    provider.scope.split_whitespace().map(|scope| Scope::new(scope.to_owned()))
}
