//! Who is counted for what comes without a session: for a sign-in, and for a refresh.
//!
//! Whoever fails is counted by account and address together. A device that the account is known on has a budget of its
//! own, which no stranger's failures use up ([device cookies][owasp]); on other devices the failures of an address, and
//! those at an account from all addresses, have limits, beyond which guesses are slowed. A refresh counts for its
//! account.
//!
//! [owasp]: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies

use std::net::IpAddr;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::session::Device;
use crate::{
    auth::token,
    clock::{Moment, Time},
    db::sql,
    entity::user,
    error::Result,
    id::UserId,
    limit::{Limit, Reservations, Who},
    site::Site,
};

/// A guess at a password, counted as a failure until it proves right.
pub(super) struct Guess<'a> {
    counted: Reservations<'a>,
    /// The device, if the account is known on it.
    device: Option<[u8; 16]>,
}

impl<'a> Guess<'a> {
    /// Counts a guess before it is looked at, so that a thousand at once are no more than five, and waits for its turn.
    /// Whether the address has an account is irrelevant to all but its known devices.
    pub(super) async fn at(
        site: &'a Site,
        email: &str,
        account: Option<&user::Model>,
        device: &Device,
        now: Time,
    ) -> Result<Self> {
        let (limiter, login) = (&site.limiter, Who::login(email, device.address));
        // Without an account the same is done, for nobody.
        let nobody = (UserId(Uuid::nil()), "");
        let (owner, password_hash) = account.map_or(nobody, |account| (account.id, &account.password_hash));
        let token = device.token.as_deref();
        let device_id = token.and_then(|token| site.keys.known_device(token, owner, password_hash));
        let own = device_id.map(Who::Device);
        limiter.request(own.unwrap_or(login)).await?;
        if let Some(own) = own
            && let Ok(counted) = limiter.reserve_all([(Limit::SignInFailure, own)], now).await
        {
            return Ok(Self {
                counted,
                device: device_id,
            });
        }
        let keys = [
            (Limit::SignInFailure, login),
            (Limit::SignInFailureOfAddress, Who::address(device.address)),
            (Limit::SignInFailureOfAccount, Who::email(email)),
        ];
        let counted = limiter.reserve_all(keys, now).await?;
        counted.turn().await;
        Ok(Self {
            counted,
            device: device_id,
        })
    }

    /// It was right, and costs nothing. Returns the token by which the device is known from now on.
    pub(super) async fn was_right(self, site: &Site, account: &user::Model, now: &Moment) -> String {
        self.counted.release().await;
        let device = self.device.unwrap_or_else(|| now.random());
        site.keys.device_token(device, account.id, &account.password_hash)
    }
}

#[derive(FromQueryResult)]
struct Owner {
    user_id: UserId,
}

/// Counts a refresh as a request of its account, if the token is good; else of the address that it comes from. A token
/// that is not ours is known without a statement, and one that is has a budget, too.
pub(crate) async fn refresh(site: &Site, token: Option<&str>, address: Option<IpAddr>, now: Time) -> Result<()> {
    let of_ours = token.filter(|token| site.keys.issued(token));
    let who = match of_ours {
        Some(token) => {
            site.limiter.request(Who::token(token)).await?;
            let select = sql(
                site.db.read(),
                "SELECT s.user_id FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id \
                 WHERE t.hash = $1 AND t.expires_at > $2 AND s.revoked_at IS NULL",
                [token::hash(token).into(), now.into()],
            );
            let owner = Owner::find_by_statement(select).one(site.db.read()).await?;
            owner.map_or_else(|| Who::address(address), |owner| Who::User(owner.user_id))
        }
        None => Who::address(address),
    };
    site.limiter.request(who).await?;
    Ok(())
}
