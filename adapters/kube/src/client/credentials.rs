//! The credentials of requests.

use crate::client::error::ConfigError;
use crate::client::plugin::Plugin;
use crate::client::token::{TokenFile, bearer};
use crate::client::userinfo::Userinfo;
use http::HeaderValue;
use kube::config::AuthInfo;
use secrecy::ExposeSecret;
use std::sync::Arc;

/// The source of each request's credentials, beside a client certificate of the configuration.
#[derive(Debug)]
pub(crate) enum Credentials {
    None,
    Fixed(HeaderValue),
    File(Arc<TokenFile>),
    Plugin(Arc<Plugin>),
}

impl Credentials {
    /// Takes the credentials out of the configuration, so that kube itself runs no plugin and reads no file. An empty
    /// value counts as absent, as in client-go.
    pub(crate) fn take_from(user: &mut AuthInfo, of_url: Option<Userinfo>) -> Result<Self, ConfigError> {
        for text in [
            &mut user.username,
            &mut user.token_file,
            &mut user.client_certificate,
            &mut user.client_certificate_data,
            &mut user.client_key,
        ] {
            text.take_if(|text| text.is_empty());
        }
        for secret in [&mut user.password, &mut user.token, &mut user.client_key_data] {
            secret.take_if(|secret| secret.expose_secret().is_empty());
        }
        let has_certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
        let (exec, provider) = (user.exec.take(), user.auth_provider.take());
        let (name, password) = (user.username.take(), user.password.take());
        let (token, file) = (user.token.take(), user.token_file.take());
        if let Some(provider) = provider {
            if exec.is_some() {
                return Err(ConfigError::new(
                    "the user has both an auth-provider and an exec plugin; only one is allowed",
                ));
            }
            // The other providers were removed from Kubernetes' clients in 1.26; their tokens have expired.
            let token = provider.config.get("id-token").filter(|_| provider.name == "oidc");
            let token = token.ok_or_else(|| {
                let name = &provider.name;
                ConfigError::new(format!(
                    "the auth-provider {name} is not supported; use its exec plugin instead"
                ))
            })?;
            return fixed("the id-token of the auth-provider", token);
        }
        if let Some(name) = name {
            let password = password.as_ref().map_or("", |password| password.expose_secret());
            return Ok(basic(&Userinfo::new(name, password)));
        }
        let token = token.map(|token| {
            bearer(token.expose_secret()).map_err(|what| ConfigError::new(format!("the user's token {what}")))
        });
        let token = token.transpose()?;
        if let Some(file) = file {
            return TokenFile::open(&file, token).map(|file| Self::File(Arc::new(file)));
        }
        if let Some(token) = token {
            return Ok(Self::Fixed(token));
        }
        if let Some(exec) = exec.filter(|_| !has_certificate) {
            return Ok(Self::Plugin(Plugin::new(exec)?));
        }
        Ok(of_url.as_ref().map_or(Self::None, basic))
    }
}

fn fixed(what: &str, token: &str) -> Result<Credentials, ConfigError> {
    bearer(token).map(Credentials::Fixed).map_err(|wrong| ConfigError::new(format!("{what} {wrong}")))
}

fn basic(userinfo: &Userinfo) -> Credentials {
    userinfo.basic().map_or(Credentials::None, Credentials::Fixed)
}
