//! The functions of a deployed stack, changed through Lambda's own API, as a deployment changes them.

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

use super::oracle;
use super::stack::{Stack, eventually};

/// The version of Lambda's API in its paths.
const FUNCTIONS: &str = "/2015-03-31/functions";
const URLS: &str = "/2021-10-31/functions";
/// The alias that mappings and the API call.
const ALIAS: &str = "live";

/// Packs a bootstrap with a settings file. A line says where the one is, and what is in the other, both as JSON.
const PACK: &str = r#"
import base64, io, json, sys, zipfile
bootstrap, settings = (json.loads(line) for line in sys.stdin)
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.write(bootstrap, "bootstrap")
    archive.writestr("chaski.toml", settings)
print(base64.b64encode(packed.getvalue()).decode())
"#;

impl Stack {
    async fn lambda(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let headers = [("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.aws.send("lambda", method, path, &headers, body, true).await?;
        ensure!((200..300).contains(&answer.status), "{method} {path} was answered {}: {}", answer.status, answer.body);
        Ok(answer.json())
    }

    /// The environment of a function's newest version.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn variables(&self, function: &str) -> anyhow::Result<Map<String, Value>> {
        let path = format!("{FUNCTIONS}/{}/configuration", self.function(function));
        let told = self.lambda("GET", &path, &Value::Null).await?;
        let variables = told.pointer("/Environment/Variables").and_then(Value::as_object);
        variables.cloned().context("a function without an environment")
    }

    /// Deploys a function with other variables, those that are named: a new version, which the alias names when this
    /// returns. What began before goes on with the old one.
    ///
    /// # Errors
    /// It can't be deployed.
    pub async fn configure(&self, function: &str, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut all = self.variables(function).await?;
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        let path = format!("{FUNCTIONS}/{}", self.function(function));
        let settings = format!("{path}/configuration");
        self.lambda("PUT", &settings, &json!({"Environment": {"Variables": all}})).await?;
        eventually("a function that is updated", || async {
            let told = self.lambda("GET", &settings, &Value::Null).await?;
            let status = told.get("LastUpdateStatus").cloned().unwrap_or_default();
            Ok(if status == "Successful" { Ok(()) } else { Err(status.to_string()) })
        })
        .await?;
        let version = self.lambda("POST", &format!("{path}/versions"), &json!({})).await?;
        let version = version.get("Version").context("no version")?;
        self.lambda("PUT", &format!("{path}/aliases/{ALIAS}"), &json!({"FunctionVersion": version})).await.map(drop)
    }

    /// Makes another ingress of the stack beside its own, with other settings and an URL that asks for no
    /// authorisation by IAM; the path of the URL at the local AWS. It has the queues and the rights of the other.
    ///
    /// # Errors
    /// It can't be made.
    pub async fn open_ingress(&self, name: &str, settings: &str) -> anyhow::Result<String> {
        let own = format!("{FUNCTIONS}/{}/configuration", self.function("api-ingress"));
        let mut made = self.lambda("GET", &own, &Value::Null).await?;
        let bootstrap = self.package("api-ingress").join("bootstrap");
        let package = oracle::ask(PACK, &format!("{}\n{}\n", json!(bootstrap), json!(settings)))?;
        let taken = ["Role", "Runtime", "Handler", "Timeout", "MemorySize", "Architectures"];
        let mut wanted: Map<String, Value> =
            taken.iter().map(|name| ((*name).to_owned(), made[*name].take())).collect();
        wanted.insert("FunctionName".to_owned(), json!(name));
        wanted.insert("Environment".to_owned(), json!({"Variables": made["Environment"]["Variables"].take()}));
        wanted.insert("Code".to_owned(), json!({"ZipFile": package.first().context("no package")?}));
        self.lambda("POST", FUNCTIONS, &Value::Object(wanted)).await?;
        let path = format!("{FUNCTIONS}/{name}/configuration");
        eventually("a function that is made", || async {
            let told = self.lambda("GET", &path, &Value::Null).await?;
            let state = told.get("State").cloned().unwrap_or_default();
            Ok(if state == "Active" { Ok(()) } else { Err(state.to_string()) })
        })
        .await?;
        let url = self.lambda("POST", &format!("{URLS}/{name}/url"), &json!({"AuthType": "NONE"})).await?;
        let open = json!({"StatementId": "open", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
                          "FunctionUrlAuthType": "NONE"});
        self.lambda("POST", &format!("{FUNCTIONS}/{name}/policy"), &open).await?;
        let url = url.get("FunctionUrl").and_then(Value::as_str).context("no url")?;
        let id = url.strip_prefix("https://").and_then(|rest| rest.split('.').next()).context("another url")?;
        Ok(format!("/_aws/lambda-url/{id}"))
    }

    /// Takes away what [`Self::open_ingress`] made.
    ///
    /// # Errors
    /// It can't be taken away.
    pub async fn close_ingress(&self, name: &str) -> anyhow::Result<()> {
        self.lambda("DELETE", &format!("{FUNCTIONS}/{name}"), &Value::Null).await.map(drop)
    }
}
