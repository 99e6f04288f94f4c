package check

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every finding of the packages that check asks says what it causes and what mends it,
// and every code is one of some finding.
func TestFindingsHaveEffectAndFix(t *testing.T) {
	for _, dir := range []string{"../../milter/spf", "../../milter/dmarc", "../../keys/published", "../postfix", "."} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			w := walkFindings(t, dir)
			if len(w.codes) == 0 {
				t.Fatal("no codes of findings were found")
			}
			for _, code := range w.codes {
				if !slices.Contains(w.made, code) {
					t.Errorf("no finding has the code %s", code)
				}
			}
			for _, place := range w.empty {
				t.Errorf("%s: an effect or a fix is empty", place)
			}
		})
	}
}

// findings is what the source of a package says of them.
type findings struct {
	codes []string // constants that are codes
	made  []string // those that are handed to something that makes a finding
	empty []string // places where such a thing is handed an empty text
}

func walkFindings(t *testing.T, dir string) *findings {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	w := &findings{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		ast.Inspect(f, w.constants)
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			for _, place := range w.finding(n) {
				w.empty = append(w.empty, files.Position(place).String())
			}
			return true
		})
	}
	return w
}

// constants keeps the names of constants of the type Code.
func (w *findings) constants(n ast.Node) bool {
	spec, ok := n.(*ast.ValueSpec)
	if !ok || spec.Type == nil {
		return true
	}
	name := ""
	switch of := spec.Type.(type) {
	case *ast.Ident:
		name = of.Name
	case *ast.SelectorExpr:
		name = of.Sel.Name
	}
	if name == "Code" {
		for _, id := range spec.Names {
			w.codes = append(w.codes, id.Name)
		}
	}
	return true
}

// finding looks at calls that have a code and a text, and at findings themselves. It
// returns where a text of theirs is empty. The first text of a call says what is wrong.
func (w *findings) finding(n ast.Node) (empty []token.Pos) {
	var code string
	var texts []ast.Expr
	switch n := n.(type) {
	case *ast.AssignStmt: // to the code of a finding that has its words
		if id, ok := n.Rhs[0].(*ast.Ident); ok && slices.Contains(w.codes, id.Name) {
			w.made = append(w.made, id.Name)
		}
		return nil
	case *ast.CallExpr:
		for _, arg := range n.Args {
			if id, ok := arg.(*ast.Ident); ok && slices.Contains(w.codes, id.Name) {
				code = id.Name
			} else if code != "" {
				texts = append(texts, arg)
			}
		}
		if len(texts) < 2 {
			return nil // a question whether there is one
		}
	case *ast.CompositeLit:
		for _, e := range n.Elts {
			pair, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			key, _ := pair.Key.(*ast.Ident)
			id, _ := pair.Value.(*ast.Ident)
			switch {
			case key == nil:
			case key.Name == "Code" && id != nil && slices.Contains(w.codes, id.Name):
				code = id.Name
			case key.Name == "Text" || key.Name == "Effect" || key.Name == "Fix":
				texts = append(texts, pair.Value)
			}
		}
		if code != "" && len(texts) < 3 {
			empty = append(empty, n.Pos())
		}
	}
	if code == "" {
		return nil
	}
	w.made = append(w.made, code)
	for _, text := range texts {
		if lit, ok := text.(*ast.BasicLit); ok && lit.Value == `""` {
			empty = append(empty, lit.Pos())
		}
	}
	return empty
}
