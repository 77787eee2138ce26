//! Activity of each day in the site's time zone, counted once the day is over.

use chrono::NaiveDate;
use sea_orm::{QueryOrder, entity::prelude::*};

use crate::clock::Time;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "daily_metrics")]
pub struct Model {
    /// An ISO 8601 date.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: String,
    pub new_accounts: i64,
    pub active_students: i64,
    pub attempts_started: i64,
    pub attempts_submitted: i64,
    pub counted_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The days from `from` to `until`, both included, as far as they are counted; the oldest first. For staff.
    pub fn of_days(from: NaiveDate, until: NaiveDate) -> Select<Self> {
        Self::find()
            .filter(Column::Day.between(from.to_string(), until.to_string()))
            .order_by_asc(Column::Day)
    }
}
