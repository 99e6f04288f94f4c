package dkim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// resolve is a resolver made of a function.
type resolve func(ctx context.Context, name string) ([]string, bool, error)

func (f resolve) LookupTXT(ctx context.Context, name string) ([]string, bool, error) {
	return f(ctx, name)
}

func TestLookupTrouble(t *testing.T) {
	servfail := errors.New("SERVFAIL")
	tests := []struct {
		name string
		r    Resolver
		want error // found in the result's error beside ErrKeyUnavailable
	}{
		{"error", &zone{err: servfail}, servfail},
		{"error beside records", &zone{err: servfail, txt: map[string][]string{"s._domainkey.example.com": {edRecord()}}}, servfail},
		{"panic", resolve(func(context.Context, string) ([]string, bool, error) { panic("resolver") }), ErrKeyUnavailable},
		{"panic of the runtime", resolve(func(_ context.Context, name string) ([]string, bool, error) {
			return nil, false, fmt.Errorf("%c", name[len(name)])
		}), ErrKeyUnavailable},
		{"no resolver", nil, ErrKeyUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := verifyOne(t, forgeLetter(t, edTemplate), letterBody, tt.r, VerifyOptions{})
			if r.Status != TempError || !errors.Is(r.Err, ErrKeyUnavailable) || !errors.Is(r.Err, tt.want) {
				t.Errorf("%s, %v", r.Status, r.Err)
			}
			if r.Domain != "example.com" || r.Selector != "s" || r.Algorithm != Ed25519SHA256 {
				t.Errorf("the signature is not named: %+v", r)
			}
		})
	}
}

// One signature's trouble is not the other's.
func TestLookupTroubleOfOne(t *testing.T) {
	fields := forgeLetter(t, edTemplate)
	fields = forge(t, edKey, strings.Replace(edTemplate, "s=s;", "s=bad;", 1), fields, letterBody)
	r := resolve(func(_ context.Context, name string) ([]string, bool, error) {
		if strings.HasPrefix(name, "bad.") {
			panic(name)
		}
		return []string{edRecord()}, true, nil
	})
	results := verify(fields, letterBody, r, VerifyOptions{})
	if results[0].Status != TempError || results[1].Status != Pass || !results[1].Authentic {
		t.Errorf("%+v", results)
	}
}

// Signatures that share a key share its look-up, also in other letters.
func TestLookupOnce(t *testing.T) {
	fields := fieldsOf(t, letterHeader)
	for _, template := range []string{
		edTemplate,
		strings.Replace(edTemplate, "d=example.com", "d=EXAMPLE.com", 1),
		strings.Replace(edTemplate, "s=s", "s=S", 1),
	} {
		fields = forge(t, edKey, template, fields, letterBody)
	}
	z := oneKey(edRecord())
	for i, r := range verify(fields, letterBody, z, VerifyOptions{}) {
		if r.Status != Pass {
			t.Errorf("result %d: %s, %v", i, r.Status, r.Err)
		}
	}
	if n := z.asked.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// All questions are under way before the first is answered.
func TestLookupParallel(t *testing.T) {
	const n = 5
	fields := fieldsOf(t, letterHeader)
	for i := range n {
		fields = forge(t, edKey, strings.Replace(edTemplate, "s=s;", fmt.Sprintf("s=s%d;", i), 1), fields, letterBody)
	}
	var all sync.WaitGroup
	all.Add(n)
	r := resolve(func(context.Context, string) ([]string, bool, error) {
		all.Done()
		all.Wait() // for ever, if one came after another
		return []string{edRecord()}, false, nil
	})
	body := NewBody()
	v := NewVerifier(context.Background(), fields, body, r, VerifyOptions{Now: now})
	<-v.Ready()
	io.WriteString(body, letterBody)
	body.Close()
	for i, r := range v.Results() {
		if r.Status != Pass {
			t.Errorf("result %d: %s, %v", i, r.Status, r.Err)
		}
	}
}

func TestReady(t *testing.T) {
	v := NewVerifier(context.Background(), fieldsOf(t, letterHeader), NewBody(), oneKey(), VerifyOptions{Now: now})
	select {
	case <-v.Ready():
	default:
		t.Error("not ready though there is nothing to ask")
	}

	release := make(chan struct{})
	r := resolve(func(context.Context, string) ([]string, bool, error) { <-release; return nil, false, nil })
	v = NewVerifier(context.Background(), forgeLetter(t, edTemplate), NewBody(), r, VerifyOptions{Now: now})
	select {
	case <-v.Ready():
		t.Error("ready before the answer")
	default:
	}
	close(release)
	<-v.Ready()
}

// A resolver that does not mind its context holds up nothing but its own goroutine.
func TestLookupDeadline(t *testing.T) {
	release := make(chan struct{})
	r := resolve(func(context.Context, string) ([]string, bool, error) {
		<-release
		return []string{edRecord()}, false, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	body := NewBody()
	v := NewVerifier(ctx, forgeLetter(t, edTemplate), body, r, VerifyOptions{Now: now})
	io.WriteString(body, letterBody)
	body.Close()
	cancel()
	results := v.Results()
	if results[0].Status != TempError || !errors.Is(results[0].Err, context.Canceled) {
		t.Errorf("%+v", results[0])
	}
	close(release)
	<-v.Ready()
	if again := v.Results(); again[0].Status != TempError {
		t.Errorf("the result changed to %s", again[0].Status)
	}
}

// An answer that is there counts, though the context has ended since.
func TestLookupAnsweredInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	body := NewBody()
	v := NewVerifier(ctx, forgeLetter(t, edTemplate), body, oneKey(edRecord()), VerifyOptions{Now: now})
	<-v.Ready()
	cancel()
	io.WriteString(body, letterBody)
	body.Close()
	if r := v.Results()[0]; r.Status != Pass {
		t.Errorf("%s, %v", r.Status, r.Err)
	}
}

// Verifiers that nobody asks for results leave no goroutine behind.
func TestNoGoroutineStays(t *testing.T) {
	fields := forgeLetter(t, edTemplate)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	r := resolve(func(ctx context.Context, _ string) ([]string, bool, error) {
		<-ctx.Done()
		return nil, false, ctx.Err()
	})
	var verifiers []*Verifier
	for range 200 {
		verifiers = append(verifiers, NewVerifier(ctx, fields, NewBody(), r, VerifyOptions{Now: now}))
	}
	cancel()
	for _, v := range verifiers {
		<-v.Ready()
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

// Without a complete body nothing passes.
func TestResultsBeforeBody(t *testing.T) {
	v := NewVerifier(context.Background(), forgeLetter(t, edTemplate), NewBody(), oneKey(edRecord()), VerifyOptions{Now: now})
	if r := v.Results()[0]; r.Status != Fail || !errors.Is(r.Err, ErrBodyHash) {
		t.Errorf("%s, %v", r.Status, r.Err)
	}
}

// A body is only hashed for signatures that can still pass.
func TestBodyNotNeeded(t *testing.T) {
	body := NewBody()
	NewVerifier(context.Background(), forgeLetter(t, strings.Replace(edTemplate, "ed25519-sha256", "rsa-sha1", 1)), body, oneKey(), VerifyOptions{Now: now})
	if !body.Done() {
		t.Error("the body is wanted for a signature that cannot pass")
	}
}
