// Drives a Functions API with Scaleway's Go SDK, unchanged: what the scw CLI and the Terraform provider are built on.
// It stops with exit code 1 at the first expectation that does not hold. Its environment has the SCW_ variables;
// arguments: gateway address, base64 of an archive with handler.py, runtime.
package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	function "github.com/scaleway/scaleway-sdk-go/api/function/v1beta1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

var poll = 50 * time.Millisecond

type driver struct {
	api       *function.API
	gateway   string
	archive   []byte
	runtime   function.FunctionRuntime
	namespace *function.Namespace
	function  *function.Function
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func expect(what string, got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("%s: got %v, wanted %v", what, got, wanted))
	}
}

func step(name string, act func()) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Printf("FAIL %s: %v\n", name, reason)
			os.Exit(1)
		}
	}()
	act()
	fmt.Println("ok  ", name)
}

func (d *driver) call(host, token string) (int, string) {
	asked := must(http.NewRequest(http.MethodGet, d.gateway, nil))
	asked.Host = host
	if token != "" {
		asked.Header.Set("X-Auth-Token", token)
	}
	answer := must(http.DefaultClient.Do(asked))
	defer answer.Body.Close()
	return answer.StatusCode, string(must(io.ReadAll(answer.Body)))
}

func (d *driver) ready() *function.Function {
	one := must(d.api.WaitForFunction(&function.WaitForFunctionRequest{FunctionID: d.function.ID, RetryInterval: &poll}))
	expect("status", one.Status, function.FunctionStatusReady)
	return one
}

func gone(ask func() error) {
	for {
		err := ask()
		var missing *scw.ResourceNotFoundError
		var plain *scw.ResponseError
		if errors.As(err, &missing) || errors.As(err, &plain) && plain.StatusCode == 404 {
			return
		}
		if err != nil {
			panic(err)
		}
		time.Sleep(poll)
	}
}

func (d *driver) makeNamespace() {
	made := must(d.api.CreateNamespace(&function.CreateNamespaceRequest{
		Name:                       "go-" + fmt.Sprint(time.Now().UnixNano()),
		EnvironmentVariables:       &map[string]string{"SHARED": "all"},
		SecretEnvironmentVariables: []*function.Secret{{Key: "KEY", Value: scw.StringPtr("hidden")}},
	}))
	d.namespace = must(d.api.WaitForNamespace(&function.WaitForNamespaceRequest{NamespaceID: made.ID, RetryInterval: &poll}))
	expect("status", d.namespace.Status, function.NamespaceStatusReady)
}

func (d *driver) makeFunction() {
	d.function = must(d.api.CreateFunction(&function.CreateFunctionRequest{
		NamespaceID:                d.namespace.ID,
		Name:                       "hello",
		Runtime:                    d.runtime,
		Handler:                    scw.StringPtr("handler.handle"),
		Timeout:                    &scw.Duration{Seconds: 30},
		EnvironmentVariables:       &map[string]string{"OWN": "mine"},
		SecretEnvironmentVariables: []*function.Secret{{Key: "SECRET", Value: scw.StringPtr("s3cret")}},
	}))
	expect("status", d.function.Status, function.FunctionStatusCreated)
	expect("name", d.function.Srn, "srn://functions.scw.eu/regions/fr-par/functions/"+d.function.ID)
	expect("timeout", *d.function.Timeout, scw.Duration{Seconds: 30})
}

func (d *driver) deploy() {
	target := must(d.api.GetFunctionUploadURL(&function.GetFunctionUploadURLRequest{
		FunctionID: d.function.ID, ContentLength: uint64(len(d.archive)),
	}))
	put := must(http.NewRequest(http.MethodPut, target.URL, bytes.NewReader(d.archive)))
	for name, values := range target.Headers {
		for _, value := range *values {
			put.Header.Add(name, value)
		}
	}
	expect("upload", must(http.DefaultClient.Do(put)).StatusCode, 200)
	started := must(d.api.DeployFunction(&function.DeployFunctionRequest{FunctionID: d.function.ID}))
	expect("status", started.Status, function.FunctionStatusPending)
	status, body := d.call(d.ready().DomainName, "")
	expect("answer", fmt.Sprint(status, " ", body), "200 mine s3cret all hidden")
}

func (d *driver) update() {
	before := d.ready()
	must(d.api.UpdateFunction(&function.UpdateFunctionRequest{
		FunctionID: d.function.ID, EnvironmentVariables: &map[string]string{"OWN": "ours"},
	}))
	after := d.ready()
	expect("kept", []any{after.Runtime, after.Privacy, after.HTTPOption, after.Sandbox, after.Handler},
		[]any{before.Runtime, before.Privacy, before.HTTPOption, before.Sandbox, before.Handler})
	_, body := d.call(after.DomainName, "")
	expect("answer", body, "ours s3cret all hidden")
}

func (d *driver) list() {
	for number := range 24 {
		must(d.api.CreateFunction(&function.CreateFunctionRequest{
			NamespaceID: d.namespace.ID, Name: fmt.Sprintf("more-%02d", number), Runtime: d.runtime,
			MemoryLimit: scw.Uint32Ptr(128), MaxScale: scw.Uint32Ptr(1),
		}))
	}
	request := &function.ListFunctionsRequest{NamespaceID: d.namespace.ID, PageSize: scw.Uint32Ptr(10)}
	all := must(d.api.ListFunctions(request, scw.WithAllPages()))
	expect("all", []int{len(all.Functions), int(all.TotalCount)}, []int{25, 25})
	request.Page = scw.Int32Ptr(9)
	expect("past the end", len(must(d.api.ListFunctions(request)).Functions), 0)
}

func (d *driver) crons() {
	cron := must(d.api.CreateCron(&function.CreateCronRequest{
		FunctionID: d.function.ID, Schedule: "*/5 * * * *", Args: &scw.JSONObject{"table": "orders"},
	}))
	cron = must(d.api.WaitForCron(&function.WaitForCronRequest{CronID: cron.ID, RetryInterval: &poll}))
	expect("args", *cron.Args, scw.JSONObject{"table": "orders"})
	must(d.api.UpdateCron(&function.UpdateCronRequest{CronID: cron.ID, Schedule: scw.StringPtr("1 2 * * 0")}))
	cron = must(d.api.WaitForCron(&function.WaitForCronRequest{CronID: cron.ID, RetryInterval: &poll}))
	expect("schedule", cron.Schedule, "1 2 * * 0")
	must(d.api.DeleteCron(&function.DeleteCronRequest{CronID: cron.ID}))
	gone(func() error { _, err := d.api.GetCron(&function.GetCronRequest{CronID: cron.ID}); return err })
}

func (d *driver) tokens() {
	must(d.api.UpdateFunction(&function.UpdateFunctionRequest{FunctionID: d.function.ID, Privacy: function.FunctionPrivacyPrivate}))
	host := d.ready().DomainName
	status, _ := d.call(host, "")
	expect("without a token", status, 403)
	expires := time.Now().Add(time.Hour)
	token := must(d.api.CreateToken(&function.CreateTokenRequest{FunctionID: &d.function.ID, ExpiresAt: &expires}))
	must(d.api.WaitForToken(&function.WaitForTokenRequest{TokenID: token.ID, RetryInterval: &poll}))
	status, _ = d.call(host, token.Token)
	expect("with a token", status, 200)
	expect("tokens", int(must(d.api.ListTokens(&function.ListTokensRequest{FunctionID: &d.function.ID})).TotalCount), 1)
	must(d.api.DeleteToken(&function.DeleteTokenRequest{TokenID: token.ID}))
	gone(func() error { _, err := d.api.GetToken(&function.GetTokenRequest{TokenID: token.ID}); return err })
}

func (d *driver) domains() {
	hostname := d.namespace.Name + ".example.org"
	domain := must(d.api.CreateDomain(&function.CreateDomainRequest{FunctionID: d.function.ID, Hostname: hostname}))
	domain = must(d.api.WaitForDomain(&function.WaitForDomainRequest{DomainID: domain.ID, RetryInterval: &poll}))
	expect("domain", []any{domain.Status, domain.URL}, []any{function.DomainStatusReady, "https://" + hostname})
	must(d.api.DeleteDomain(&function.DeleteDomainRequest{DomainID: domain.ID}))
	gone(func() error { _, err := d.api.GetDomain(&function.GetDomainRequest{DomainID: domain.ID}); return err })
}

func (d *driver) triggers() {
	project := os.Getenv("SCW_DEFAULT_PROJECT_ID")
	for _, request := range []*function.CreateTriggerRequest{
		{ScwSqsConfig: &function.CreateTriggerRequestMnqSqsClientConfig{Queue: "orders", MnqProjectID: project, MnqRegion: "fr-par"}},
		{ScwNatsConfig: &function.CreateTriggerRequestMnqNatsClientConfig{
			Subject: "orders.*", MnqNatsAccountID: strings.Repeat("A", 56), MnqProjectID: project, MnqRegion: "fr-par",
		}},
	} {
		request.FunctionID, request.Name = d.function.ID, "on-orders"
		made := must(d.api.CreateTrigger(request))
		made = must(d.api.WaitForTrigger(&function.WaitForTriggerRequest{TriggerID: made.ID, RetryInterval: &poll}))
		expect("status", made.Status, function.TriggerStatusReady)
		told := must(d.api.UpdateTrigger(&function.UpdateTriggerRequest{TriggerID: made.ID, Description: scw.StringPtr("told")}))
		expect("description", told.Description, "told")
		listed := must(d.api.ListTriggers(&function.ListTriggersRequest{FunctionID: &d.function.ID}, scw.WithAllPages()))
		expect("listed", len(listed.Triggers), 1)
		must(d.api.DeleteTrigger(&function.DeleteTriggerRequest{TriggerID: made.ID}))
		gone(func() error { _, err := d.api.GetTrigger(&function.GetTriggerRequest{TriggerID: made.ID}); return err })
	}
}

func (d *driver) errors() {
	_, err := d.api.GetFunction(&function.GetFunctionRequest{FunctionID: d.namespace.ID})
	var plain *scw.ResponseError
	if !errors.As(err, &plain) {
		panic(fmt.Sprintf("not found: %T %v", err, err))
	}
	expect("not found", []any{plain.StatusCode, plain.Message}, []any{404, "Function was not found"})
	_, err = d.api.CreateFunction(&function.CreateFunctionRequest{NamespaceID: d.namespace.ID, Name: "hello", Runtime: d.runtime})
	if !errors.As(err, &plain) {
		panic(fmt.Sprintf("taken: %T %v", err, err))
	}
	expect("taken", []any{plain.StatusCode, plain.Message}, []any{409, "Function already exist"})
	stranger := must(scw.NewClient(scw.WithEnv(), scw.WithAuth(os.Getenv("SCW_ACCESS_KEY"), d.namespace.ID)))
	_, err = function.NewAPI(stranger).ListNamespaces(&function.ListNamespacesRequest{})
	var denied *scw.DeniedAuthenticationError
	if !errors.As(err, &denied) {
		panic(fmt.Sprintf("denied: %T %v", err, err))
	}
}

func (d *driver) remove() {
	deleted := must(d.api.DeleteNamespace(&function.DeleteNamespaceRequest{NamespaceID: d.namespace.ID}))
	expect("status", deleted.Status, function.NamespaceStatusDeleting)
	gone(func() error {
		_, err := d.api.GetNamespace(&function.GetNamespaceRequest{NamespaceID: d.namespace.ID})
		return err
	})
	gone(func() error {
		_, err := d.api.GetFunction(&function.GetFunctionRequest{FunctionID: d.function.ID})
		return err
	})
}

func main() {
	d := &driver{gateway: os.Args[1], runtime: function.FunctionRuntime(os.Args[3])}
	d.archive = must(base64.StdEncoding.DecodeString(os.Args[2]))
	d.api = function.NewAPI(must(scw.NewClient(scw.WithEnv())))
	step("a namespace is created and waited for", d.makeNamespace)
	step("a function is created", d.makeFunction)
	step("it is uploaded, deployed, waited for and called", d.deploy)
	step("an update that sends unknown_ values keeps them", d.update)
	step("lists come in pages and whole", d.list)
	step("crons", d.crons)
	step("a private function takes a token", d.tokens)
	step("domains", d.domains)
	step("triggers", d.triggers)
	step("errors have a status, a message and a type", d.errors)
	step("everything is deleted with the namespace", d.remove)
}
