module example.com/iban

go 1.24
