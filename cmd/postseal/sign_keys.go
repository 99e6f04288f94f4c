package main

import (
	"crypto"
	"fmt"
	"os"

	"github.com/postseal/postseal/config"
	"github.com/postseal/postseal/keys"
	"github.com/postseal/postseal/milter"
	"github.com/postseal/postseal/milter/dkim"
)

// request is the signature that -d, -s and -k ask for.
func (f *signFlags) request() ([]signRequest, error) {
	key, err := readKey(f.keyFile)
	if err != nil {
		return nil, err
	}
	return []signRequest{{name: f.keyFile, domain: f.domain, selector: f.selector, auid: f.auid, key: key}}, nil
}

// readKey reads a private key; the error has the exit code for it.
func readKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, exitError{exitNoInput, fmt.Errorf("the private key cannot be read: %w", err)}
	}
	defer clear(data)
	key, err := keys.ParsePrivate(data)
	if err != nil {
		return nil, exitError{exitFailed, fmt.Errorf("%s: %w", path, err)}
	}
	return key, nil
}

// configured is what the daemon would sign if the author sent the message from
// here, logged in under the author's address: with which keys, and the header as
// replace_rules leave it.
func configured(s *milter.Snapshot, names form, fields []dkim.Field) ([]signRequest, []dkim.Field, error) {
	from, err := milter.Author(fields)
	if err != nil {
		return nil, nil, exitError{exitFailed, err}
	}
	macros := map[string]string{"auth_type": "PLAIN", "auth_authen": from.String()}
	d := s.Decide(milter.Facts{
		Host: "localhost", MailFrom: from.String(), Fields: fields, Mode: config.Mode{Sign: true, Verify: true},
		Macro: func(name string) (string, bool) { v, ok := macros[name]; return v, ok },
	})
	if d.Verdict != milter.Sign {
		return nil, nil, exitError{exitFailed, fmt.Errorf("the daemon would not sign this message: %s", names.words(milter.Words(d.Reasons)))}
	}
	var requests []signRequest
	for _, r := range d.Requests {
		key, err := r.Signer()
		if err != nil {
			return nil, nil, exitError{exitFailed, errorIn{err, names}}
		}
		requests = append(requests, signRequest{name: r.KeyName, domain: r.Domain, selector: r.Selector, auid: r.AUID, key: key})
	}
	return requests, d.Fields, nil
}
