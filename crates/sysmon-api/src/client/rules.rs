//! Reading and changing rules.

use tonic::Request;
use tonic::transport::Channel;

use super::{ANSWER_TIMEOUT, Client};
use crate::conflict;
use crate::error::{ApiError, Code};
use crate::generated::config_service_client::ConfigServiceClient;
use crate::transport::{MESSAGE_BYTES_MAX, MESSAGE_BYTES_SLACK};
use crate::wire;

impl Client {
    /// All rules with their versions, sorted by id.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] where no rules are kept; [`ApiError`] when the server cannot be reached or refuses.
    pub async fn list_rules(&self) -> Result<wire::ListRulesReply, ApiError> {
        let request = self.unary(wire::ListRulesRequest {});
        match self.config().list_rules(request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.inner.remote.explain_call(&status)),
        }
    }

    /// Makes or replaces a rule. When somebody else changed it since the version that was seen, nothing is done: the
    /// reply says `conflict` and has the rule as it is now.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] with everything that is wrong with the rule, one problem per line; [`ApiError`] when the
    /// server cannot be reached or refuses.
    pub async fn put_rule(&self, request: wire::PutRuleRequest) -> Result<wire::ChangeReply, ApiError> {
        let rule = request.rule.as_ref();
        let id = rule.map(|rule| rule.rule_id.clone()).unwrap_or_default();
        match self.config().put_rule(self.unary(request)).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => self.not_changed(&id, &status).await,
        }
    }

    /// Removes a rule; as [`Client::put_rule`].
    ///
    /// # Errors
    /// [`ApiError`] when the server cannot be reached or refuses.
    pub async fn delete_rule(&self, request: wire::DeleteRuleRequest) -> Result<wire::ChangeReply, ApiError> {
        let id = request.rule_id.clone();
        match self.config().delete_rule(self.unary(request)).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => self.not_changed(&id, &status).await,
        }
    }

    /// Who changed what, newest first. A reply may have fewer entries than were asked for, because a message is bounded;
    /// only one without any is the end.
    ///
    /// # Errors
    /// As [`Client::list_rules`].
    pub async fn list_audit(
        &self,
        request: wire::ListAuditRequest,
    ) -> Result<wire::ListAuditReply, ApiError> {
        match self.config().list_audit(self.unary(request)).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.inner.remote.explain_call(&status)),
        }
    }

    /// Why nothing was changed: a conflict, with the rule as it is now, or a failure.
    async fn not_changed(&self, id: &str, status: &tonic::Status) -> Result<wire::ChangeReply, ApiError> {
        let Some(mut reply) = conflict::from_status(status) else {
            let mut error = self.inner.remote.explain_call(status);
            if error.code == Code::InvalidArgument {
                // One problem per line, each harmless by itself.
                let lines = status.message().lines().take(PROBLEMS_MAX);
                let lines: Vec<_> = lines
                    .map(|line| {
                        sysmon_core::clip(&sysmon_core::sanitize(line), PROBLEM_CELLS_MAX).into_owned()
                    })
                    .collect();
                error.message = lines.join("\n");
            }
            return Err(error);
        };
        if reply.stored.as_ref().is_some_and(|stored| stored.rule.is_none()) {
            // It was too long for the trailer.
            let rules = self.list_rules().await?.rules;
            let is_it =
                |stored: &wire::StoredRule| stored.rule.as_ref().is_some_and(|rule| rule.rule_id == id);
            reply.stored = rules.into_iter().find(is_it);
        }
        Ok(reply)
    }

    fn config(&self) -> ConfigServiceClient<Channel> {
        ConfigServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX + MESSAGE_BYTES_SLACK)
    }

    fn unary<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.authorise(&mut request);
        request.set_timeout(ANSWER_TIMEOUT);
        request
    }
}

/// So many problems of a rule are taken over, each cut to this.
const PROBLEMS_MAX: usize = 50;
const PROBLEM_CELLS_MAX: usize = 300;
