// Package iban checks account numbers.
package iban

import (
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
)

// Check answers whether an account number is valid: GET /?number=FR7630006000011234567890189
func Check(w http.ResponseWriter, r *http.Request) {
	number := strings.ToUpper(strings.ReplaceAll(r.URL.Query().Get("number"), " ", ""))
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"number": number, "valid": isValid(number)})
}

// isValid reports whether the number leaves a remainder of 1 when it is divided by 97 (ISO 13616).
func isValid(number string) bool {
	if len(number) < 5 || len(number) > 34 {
		return false
	}
	var digits strings.Builder
	for _, character := range number[4:] + number[:4] {
		switch {
		case '0' <= character && character <= '9':
			digits.WriteRune(character)
		case 'A' <= character && character <= 'Z':
			digits.WriteString(big.NewInt(int64(character-'A') + 10).String())
		default:
			return false
		}
	}
	value, _ := new(big.Int).SetString(digits.String(), 10)
	return new(big.Int).Mod(value, big.NewInt(97)).Int64() == 1
}
