//! What CloudFormation says of a stack: where its API, its queues and its table are, and its routes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chaski_aws::QueuePrefix;
use chaski_core::settings::Settings;
use reqwest::header::CONTENT_TYPE;
use roxmltree::Document;

use crate::account::Account;

const VERSION: &str = "2010-05-15";

/// Why the stack is not known.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// CloudFormation can't be asked.
    #[error("CloudFormation can't be asked: {0}")]
    Unreachable(String),
    /// CloudFormation says no.
    #[error("CloudFormation: {code}: {words}")]
    Refused {
        /// Its code.
        code: String,
        /// Its words.
        words: String,
    },
    /// What answers is not CloudFormation.
    #[error("CloudFormation's answer (status {0}) can't be read")]
    Unreadable(u16),
    /// The stack is another one.
    #[error(
        "the stack {stack} has no output {output}; is it Chaski's, and of this version? `make deploy` brings it up to date"
    )]
    NoOutput {
        /// Its name.
        stack: String,
        /// What it lacks.
        output: String,
    },
    /// The routes can't be used.
    #[error("the routes of the stack can't be read: {0}")]
    Routes(String),
}

/// A deployed stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Where producers post.
    pub api_url: String,
    /// Whether callers are known by their keys, and not by IAM.
    pub keyed: bool,
    /// What the queues' URLs begin with.
    pub queues: QueuePrefix,
    /// The table of dead letters.
    pub table: String,
    /// The control table; a stack of an earlier version has none.
    pub control: Option<String>,
    /// The bucket of large bodies; a stack of an earlier version has none.
    pub bucket: Option<String>,
    /// The settings that a replay looks at: the routes, as they were deployed.
    pub settings: Settings,
}

impl Stack {
    /// Asks CloudFormation for the stack's outputs.
    ///
    /// # Errors
    /// It does not answer, knows no such stack, or the stack is not Chaski's.
    pub async fn describe(account: &Account, http: &reqwest::Client, name: &str) -> Result<Self, StackError> {
        let unreachable = |error: &dyn std::error::Error| {
            let mut cause = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            StackError::Unreachable(cause.to_string())
        };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "DescribeStacks").append_pair("Version", VERSION).append_pair("StackName", name);
        let mut request = http
            .post(account.cloudformation())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish())
            .build()
            .map_err(|error| unreachable(&error))?;
        account.signer("cloudformation").sign(&mut request, SystemTime::now()).map_err(StackError::Unreachable)?;
        let answer = http.execute(request).await.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| unreachable(&error))?;
        Self::read(name, &outputs(status, &text)?)
    }

    fn read(name: &str, outputs: &BTreeMap<String, String>) -> Result<Self, StackError> {
        let output = |key: &str| {
            let missing = || StackError::NoOutput { stack: name.to_owned(), output: key.to_owned() };
            outputs.get(key).cloned().ok_or_else(missing)
        };
        output("Route0")?;
        let routes: Vec<&str> = (0..).map_while(|n| outputs.get(&format!("Route{n}"))).map(String::as_str).collect();
        // Each is a table of TOML as it stands in chaski.toml, on one line.
        let file = format!("routes = [{}]", routes.join(", "));
        let settings = Settings::read(&file, &|_| None).map_err(|error| StackError::Routes(error.to_string()))?;
        Ok(Self {
            api_url: output("ApiUrl")?,
            keyed: output("Authorization")? == "producers",
            queues: QueuePrefix::new(output("QueuePrefix")?),
            table: output("TableName")?,
            control: outputs.get("ControlTableName").cloned(),
            bucket: outputs.get("BodiesBucketName").cloned(),
            settings,
        })
    }
}

/// The outputs in CloudFormation's answer, by key.
fn outputs(status: u16, text: &str) -> Result<BTreeMap<String, String>, StackError> {
    let document = Document::parse(text).map_err(|_| StackError::Unreadable(status))?;
    let of = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name);
        child.and_then(|child| child.text()).unwrap_or_default().trim().to_owned()
    };
    if let Some(error) = document.descendants().find(|node| node.tag_name().name() == "Error") {
        return Err(StackError::Refused { code: of(error, "Code"), words: of(error, "Message") });
    }
    if status != 200 {
        return Err(StackError::Unreadable(status));
    }
    let members = document.descendants().filter(|node| node.tag_name().name() == "member");
    let outputs = members.filter(|member| member.children().any(|child| child.tag_name().name() == "OutputKey"));
    Ok(outputs.map(|output| (of(output, "OutputKey"), of(output, "OutputValue"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
      <DescribeStacksResult><Stacks><member><StackName>chaski-dev</StackName>
        <Parameters><member><ParameterKey>LogLevel</ParameterKey><ParameterValue>info</ParameterValue></member></Parameters>
        <Outputs>
          <member><OutputKey>ApiUrl</OutputKey><OutputValue>https://a.execute-api.eu-west-1.amazonaws.com</OutputValue></member>
          <member><OutputKey>Authorization</OutputKey><OutputValue>iam</OutputValue></member>
          <member><OutputKey>QueuePrefix</OutputKey><OutputValue>https://sqs.eu-west-1.amazonaws.com/1/chaski-dev-</OutputValue></member>
          <member><OutputKey>TableName</OutputKey><OutputValue>chaski-dev-dead-letters</OutputValue></member>
          <member><OutputKey>ControlTableName</OutputKey><OutputValue>chaski-dev-control</OutputValue></member>
          <member><OutputKey>Route0</OutputKey><OutputValue>{name = "a", pattern = "pc_&lt;a*", shards = 1}</OutputValue></member>
          <member><OutputKey>Route1</OutputKey><OutputValue>{name = "messages", pattern = "*", shards = 4}</OutputValue></member>
        </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"#;

    #[test]
    fn a_stack_says_where_everything_is() {
        let stack = Stack::read("chaski-dev", &outputs(200, ANSWER).unwrap()).unwrap();
        assert_eq!(stack.api_url, "https://a.execute-api.eu-west-1.amazonaws.com");
        assert_eq!((stack.keyed, stack.table.as_str()), (false, "chaski-dev-dead-letters"));
        assert_eq!(stack.control.as_deref(), Some("chaski-dev-control"));
        let routes: Vec<_> = stack.settings.routes.iter().map(|route| (route.name.as_str(), route.shards)).collect();
        assert_eq!(routes, [("a", 1), ("messages", 4)]);
        assert_eq!(stack.settings.routes[0].pattern.text(), "pc_<a*");
    }

    #[test]
    fn another_stack_is_told_by_what_it_lacks() {
        let mut outputs = outputs(200, ANSWER).unwrap();
        outputs.remove("TableName");
        let error = Stack::read("other", &outputs).unwrap_err().to_string();
        assert!(error.contains("other") && error.contains("TableName"), "{error}");
        outputs.remove("Route0");
        assert!(Stack::read("other", &outputs).unwrap_err().to_string().contains("Route0"));
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let text = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                    <Message>Stack with id x does not exist</Message></Error></ErrorResponse>";
        let error = outputs(400, text).unwrap_err().to_string();
        assert_eq!(error, "CloudFormation: ValidationError: Stack with id x does not exist");
        assert!(matches!(outputs(502, "<html>"), Err(StackError::Unreadable(502))));
        assert!(matches!(outputs(502, "<html/>"), Err(StackError::Unreadable(502))));
    }
}
